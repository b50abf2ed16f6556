# -*- test-case-name: tests.protocols.http.test_agreed -*-
"""
An endpoint whose version of HTTP is agreed upon in the TLS handshake (ALPN, RFC 7301): both are offered, HTTP/2 first.

What one connection was agreed to speak is expected of the next as well. A server that has changed its mind meanwhile,
as after a restart, is spoken to as it now wants, by that very connection.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from lproxy.api import HealthCheck, Report, Stream
from lproxy.protocols.http.pool import Dial
from lproxy.protocols.http.streams import HttpLease

#: as they are registered
ALPN_HTTP1: Final = "http/1.1"
ALPN_HTTP2: Final = "h2"


class Bottom(Protocol):
    """
    Either version's service of one endpoint: an L{EndpointService<lproxy.api.EndpointService>}.

    @ivar load: leases that are out, or waited for
    """

    load: int

    def try_acquire(self) -> HttpLease | None:
        """A lease that is to be had this instant."""

    def acquire(self) -> Deferred[HttpLease]:
        """A lease, as soon as there is one."""

    def check(self, check: HealthCheck) -> Deferred[None]:
        """Ask whether the endpoint serves."""

    def adopt(self, stream: Stream) -> None:
        """Have C{stream}, which nobody asked this for, and which nobody uses."""

    def report(self, report: Report) -> None:
        """Add what there is to show of it."""

    def close(self) -> None:
        """Let go of what is idle."""


class OtherVersion(Exception):
    """A connection was made, and speaks the other version: whoever waited for it is to ask again."""


class Agreed:
    """
    The L{EndpointService<lproxy.api.EndpointService>} of such an endpoint: by turns one of two.

    @ivar _http2: whether it is that of HTTP/2 now
    @ivar _inner: it
    @ivar _before: what it was before, as long as there are leases on that
    """

    __slots__ = ("_before", "_closed", "_dial", "_http2", "_inner", "_make")

    def __init__(self, dial: Dial, make: Callable[[bool, Dial], Bottom]) -> None:
        """
        @param dial: connects, and offers both
        @param make: makes the service of HTTP/2, or of HTTP/1.1, of what connects for it
        """
        self._dial = dial
        self._make = make
        self._http2 = True
        self._inner = make(True, partial(self._connect, True))
        self._before: list[Bottom] = []
        self._closed = False

    def __repr__(self) -> str:
        return f"<Agreed {self._inner!r}>"

    @property
    def load(self) -> int:
        """Leases that are out, or waited for."""
        return self._inner.load + sum([one.load for one in self._before])

    def try_acquire(self) -> HttpLease | None:
        """What was agreed upon last has ready."""
        return self._inner.try_acquire()

    def acquire(self) -> Deferred[HttpLease]:
        """Of that; or of the other, where it turns out to be that."""
        return self._inner.acquire().addErrback(self._again)

    def check(self, check: HealthCheck) -> Deferred[None]:
        """Of that; or of the other, where it turns out to be that."""
        return self._inner.check(check).addErrback(self._check_again, check)

    def report(self, report: Report) -> None:
        """Of what it is."""
        self._inner.report(report)

    def close(self) -> None:
        """Of all that it is and was."""
        self._closed = True
        for one in (self._inner, *self._before):
            one.close()

    def _again(self, failure: Failure) -> Any:
        # what is not for us is not raised anew: a traceback has the frames that it goes through
        return self.acquire() if failure.check(OtherVersion) else failure

    def _check_again(self, failure: Failure, check: HealthCheck) -> Any:
        return self._inner.check(check) if failure.check(OtherVersion) else failure

    def _connect(self, wanted: bool) -> Deferred[Stream]:
        return self._dial().addCallback(self._connected, wanted)

    def _connected(self, stream: Stream, wanted: bool) -> Stream:
        """
        Who has connected has it, if it speaks that version.

        @param wanted: whether that is HTTP/2
        """
        tls = stream.conn.tls
        http2 = tls is not None and tls.alpn == ALPN_HTTP2
        if http2 == wanted:
            return stream
        if http2 != self._http2:
            before = self._inner
            self._http2 = http2
            self._inner = self._make(http2, partial(self._connect, http2))
            self._before = [one for one in (*self._before, before) if one.load]
            before.close()
        self._inner.adopt(stream)
        if self._closed:
            self._inner.close()
        raise OtherVersion
