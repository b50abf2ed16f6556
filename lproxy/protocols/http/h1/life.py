# -*- test-case-name: tests.protocols.http.h1.test_life -*-
"""
What a client's connection can be doing.
"""

from __future__ import annotations

from typing import Final

# where the connection is in its life; up to HEAD the next request may begin
#: between requests
IDLE: Final = 0
#: part of a head was read
HEAD: Final = 1
#: there is an exchange
BUSY: Final = 2
#: other connections have their turn before the next request
YIELDING: Final = 3
#: answered; the client has to take some of that before its next request is looked at
FULL: Final = 4
#: another protocol's bytes
TUNNEL: Final = 5
#: answered for the last time: what comes is read and dropped
LINGERING: Final = 6
CLOSED: Final = 7

NAMES: Final = ("idle", "head", "calling", "yielding", "full", "tunnel", "linger", "closed")
