# -*- test-case-name: tests.integration.test_sample_plugin -*-
"""
How lproxy learns of the memo protocol.
"""

from lproxy_memo.plugin import Memo

memo = Memo()
