"""
Profiles of services from files.
"""
