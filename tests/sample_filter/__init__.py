"""
The filter of docs/kafka.rst.
"""
