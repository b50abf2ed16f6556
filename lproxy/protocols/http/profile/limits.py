# -*- test-case-name: tests.protocols.http.profile.test_limits -*-
"""
How many requests a route, a service or a listener takes, and how large they may be.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from hashlib import blake2b
from typing import Final

from lproxy.api import Conn
from lproxy.errors import ProxyError
from lproxy.profile import Rate
from lproxy.protocols.http.message import Request
from lproxy.stack.rates import Limiter

#: bytes of a field's value that are kept as they are, to know it again; of a longer one, a digest is
SHORT: Final = 64


class RateLimited(ProxyError):
    """
    A request more than there may be.

    @ivar rate: what the configuration says
    @ivar retry_after: seconds, after which another may be
    """

    layer = "rate"
    reason = "rate_limited"
    flag = "RL"
    status = 429
    shed = True
    blames = False

    def __init__(self, target: object, rate: Rate, seconds: float) -> None:
        super().__init__(target)
        self.rate = rate
        # others' is their class's
        self.retry_after = max(math.ceil(seconds), 1)  # type: ignore[misc]

    def what(self) -> str:
        """What there may be."""
        rate = self.rate
        by = {"all": "", "client": " of each client", "identity": " of each identity"}
        whose = by.get(rate.by, f" of each {rate.header}")
        several = "request" if rate.requests == 1 else "requests"
        return f"takes {rate.requests} {several}{whose} in {rate.per:g} s, and is asked for more"


class BodyTooLarge(ProxyError):
    """
    A request's body is larger than its route takes.

    @ivar limit: bytes
    """

    layer = "http"
    reason = "body_too_large"
    flag = "BL"
    status = 413
    shed = True
    blames = False

    def __init__(self, target: object, limit: int) -> None:
        super().__init__(target)
        self.limit = limit

    def what(self) -> str:
        """What it takes."""
        return f"takes bodies of {self.limit} bytes at most"


class Gate:
    """
    Lets as many requests pass as all of C{limiters} do.

    @ivar target: what they limit, for people
    """

    __slots__ = ("_limiters", "target")

    def __init__(self, target: object, limiters: tuple[Limiter, ...]) -> None:
        self.target: object = target
        self._limiters: tuple[Limiter, ...] = limiters

    def refuse(self, request: Request, conn: Conn, now: float) -> RateLimited | None:
        """Why C{request}, which came on C{conn}, may not pass; C{None}: it is counted, and may."""
        limiters = self._limiters
        if len(limiters) == 1 and limiters[0].rate.by == "all":
            # as with most
            limiter = limiters[0]
            seconds = limiter.wait(None, now)
            if seconds:
                return RateLimited(self.target, limiter.rate, seconds)
            limiter.take(None, now)
            return None
        keys = [key_of(limiter.rate, request, conn) for limiter in limiters]
        # what one of them refuses is not taken from the others
        waits = [limiter.wait(key, now) for limiter, key in zip(limiters, keys, strict=True)]
        longest = max(waits)
        if longest:
            return RateLimited(self.target, limiters[waits.index(longest)].rate, longest)
        for limiter, key in zip(limiters, keys, strict=True):
            limiter.take(key, now)
        return None


def gate(target: object, limiters: tuple[Limiter, ...]) -> Gate | None:
    """What lets requests to C{target} pass; C{None}: all may."""
    return Gate(target, limiters) if limiters else None


def key_of(rate: Rate, request: Request, conn: Conn) -> Hashable:
    """With what C{request} is counted together; C{None}: with all that have nothing of the kind."""
    by = rate.by
    if by == "client":
        return conn.peer[0]
    if by == "identity":
        return (conn.tls.remote_identity or None) if conn.tls is not None else None
    if by == "header":
        return _value(rate.header.lower().encode("ascii"), request)
    return None


def _value(lower: bytes, request: Request) -> bytes | None:
    """The field of that name, or all of them, as one."""
    if lower == b"host":
        # HTTP/2 has it elsewhere
        value = request.authority.lower()
    else:
        values = [value.strip(b" \t") for name, value in request.headers if name.lower() == lower]
        if not values:
            return None
        value = values[0] if len(values) == 1 else b",".join(values)
    return value if len(value) <= SHORT else blake2b(value, digest_size=16).digest()
