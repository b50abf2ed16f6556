"""
Profiles of services from files: what Linkerd's C{ServiceProfile} and the routes of the Gateway API say, as values of
L{lproxy.profile}.
"""
