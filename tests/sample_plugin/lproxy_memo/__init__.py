"""
Memo, a protocol small enough to read at one sitting.

A client opens with one line, C{MEMO/1 BOARD}, which names the board that it wants, and writes its memos below, one a
line. The server answers each with C{OK}.
"""

__version__ = "0.1"
