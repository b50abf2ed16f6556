# -*- test-case-name: tests.protocols.http.test_exchange -*-
"""
What an exchange can be doing; the order is that of its life.
"""

from __future__ import annotations

from typing import Final

ACQUIRING: Final = 0
#: dispatched, and nothing of the answer has come
CALLING: Final = 1
#: the answer has begun
ANSWERING: Final = 2
#: all of the answer is there, and the client still sends what was accepted
FINISHING: Final = 3
#: it has become another protocol's bytes
TUNNEL: Final = 4
OVER: Final = 5
