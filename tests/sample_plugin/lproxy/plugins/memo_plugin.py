# -*- test-case-name: tests.test_packaging -*-
"""
How lproxy learns of the memo protocol.
"""

from lproxy_memo.plugin import Memo

memo = Memo()
