"""
What becomes of a request, in words: C{lproxy routes} and C{lproxy explain}.
"""
