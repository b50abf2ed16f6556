"""
Memo, a protocol small enough to read at one sitting.

A client opens with one line, C{MEMO/1 BOARD}, which names the board that it wants. Each line after that is a command,
C{ADD buy milk}, and is answered with one line, C{OK} or C{ERR} and perhaps more.
"""

__version__ = "0.2"
