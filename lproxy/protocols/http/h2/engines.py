# -*- test-case-name: tests.protocols.http.h2.test_engines -*-
"""
Which engine a connection has: C{http2_engine} says so.
"""

from __future__ import annotations

from collections.abc import Callable

from lproxy.config import Http2Engine
from lproxy.protocols.http.h2.engine import Engine, Handler
from lproxy.protocols.http.h2.lane import Lane
from lproxy.protocols.http.h2.limits import Limits
from lproxy.protocols.http.h2.reference import Reference


def make_engine(
    kind: Http2Engine, client: bool, handler: Handler, limits: Limits, seconds: Callable[[], float]
) -> Engine:
    """
    An engine for one connection. Its preface and SETTINGS wait to be taken at once.

    @param client: whether we have opened the connection
    @param seconds: a monotonic clock, for what has a rate
    """
    if kind == "lane":
        return Lane(client, handler, limits, seconds)
    return Reference(client, handler, limits, seconds)
