"""
What a service's table says of its profile (L{lproxy.profile}): routes, backends, budgets and rates, in TOML.
"""
