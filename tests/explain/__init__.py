"""
What becomes of a request, in words.
"""
