"""
Profiles of services in TOML.
"""
