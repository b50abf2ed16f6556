# -*- test-case-name: tests.protocols.http.h1.test_life -*-
"""
What a client's connection can be doing, and how long and how often each is waited for where nobody sets that.
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

#: requests that are answered by ourselves in one turn of the reactor
TURN: Final = 8
#: seconds that what a client still sends is read and dropped after the last answer, so that no reset overtakes it
LINGERING_TIME: Final = 30.0
#: seconds of silence that end this sooner
LINGER: Final = 5.0
#: the same, where nothing is known to come: a client that would have kept the connection may yet have said more
PARTING: Final = 0.5
#: seconds for a request that is on its way to an idle connection when the proxy begins to drain
GRACE: Final = 1.0
