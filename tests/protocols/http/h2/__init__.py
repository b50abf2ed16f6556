"""
Tests of HTTP/2. Hypothesis tries the same examples each time, and keeps none.
"""

from hypothesis import settings

settings.register_profile("lproxy", derandomize=True, database=None, deadline=None)
settings.load_profile("lproxy")
