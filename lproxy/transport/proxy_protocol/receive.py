# -*- test-case-name: tests.transport.proxy_protocol.test_receive -*-
"""
Read a header off an accepted connection, and not a byte more.

What follows stays with the kernel, for whoever has the connection next: a TLS handshake wants its first byte there. So
the header is looked at before it is read; what certainly is part of one is read at once, so that more of it wakes us.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from lproxy.target import join_host_port
from lproxy.transport.detect import GRACE
from lproxy.transport.proxy_protocol.header import Header, Malformed, Missing
from lproxy.transport.proxy_protocol.parse import LONGEST, parse
from lproxy.transport.stream import Raw, Reader, Stream
from lproxy.verdict import NeedMore

#: why a connection goes no further: it ended without a byte, or was reset; the sender, for itself, wanted no more; its
#: header took too long; it begins otherwise; it begins with none that may be taken, or that broke off
EOF: Final = "eof"
LOCAL: Final = "local"
TIMEOUT: Final = "timeout"
MISSING: Final = "missing"
MALFORMED: Final = "malformed"


class Owner(Protocol):
    """Who accepted the connection, and wants to know whom it is for."""

    def received(self, receiving: Receiving, header: Header) -> None:
        """This is what it says. Nobody reads the stream any more."""

    def refused(self, receiving: Receiving, result: str, why: str) -> None:
        """
        There is none, or nothing behind it: the stream is closed after this.

        @param result: L{EOF}, L{LOCAL}, L{TIMEOUT}, L{MISSING} or L{MALFORMED}
        @param why: in words that continue "closed: "
        """


class Receiving(Reader):
    """
    The first reader of a stream that has to begin with a header.

    Whoever speaks for itself is a health check, most likely, and wants nothing more: it is given a moment to end, or to
    go on, before anything is done for it.

    It is a session too (see L{lproxy.protocols.session.Session}): a shutdown waits for what is on its way to be one.
    """

    def __init__(
        self, owner: Owner, clock: IReactorTime, stream: Stream, raw: Raw, seconds: float, moment: float, listener: str
    ) -> None:
        """
        @param raw: C{stream}'s
        @param seconds: for the whole header
        @param moment: seconds for a health check to end
        @param listener: its name
        """
        self._owner = owner
        self._clock = clock
        self._raw = raw
        self._seconds = seconds
        self._moment = moment
        self._listener = listener
        self._began = clock.seconds()
        self._header = b""
        #: what was read, of whoever speaks for itself
        self._own: Header | None = None
        self._over = False
        self._timer: IDelayedCall | None = None
        self.stream = stream

    def __repr__(self) -> str:
        return f"<Receiving {'over' if self._over else 'waiting'} {self._header[:20]!r}>"

    # Session

    def start(self) -> None:
        """Look whether it is there already, as it mostly is, and wait for it otherwise."""
        self.stream.attach(self)
        if not self._over:
            self._raw.divert_reading(self._readable)
            self._readable()
        if not self._over:
            if self._own is None:
                self._timer = self._clock.callLater(self._seconds, self._expired)
            self.stream.resume()

    def drain(self) -> None:
        """Who has said nothing is waited for no longer than L{GRACE}."""
        timer = self._timer
        if timer is not None and not self._header and timer.getTime() - self._clock.seconds() > GRACE:
            timer.cancel()
            self._timer = self._clock.callLater(GRACE, self._drained)

    def abort(self) -> None:
        """End now."""
        self.stream.abort()

    def describe(self) -> dict[str, Any]:
        """A row of C{/connections}."""
        stream = self.stream
        return {
            "listener": self._listener,
            "protocol": None,
            "client": join_host_port(*stream.conn.peer),
            "target": None,
            "upstream": None,
            "state": "proxy header",
            "seconds": round(self._clock.seconds() - self._began, 3),
            "bytes_in": stream.bytes_in,
            "bytes_out": stream.bytes_out,
        }

    # the stream's reader: the header itself is never read by the stream

    def data_received(self, data: bytes) -> None:
        """Not before this is over."""

    def eof_received(self) -> None:
        """Likewise."""

    def connection_lost(self) -> None:
        """It was reset."""
        if not self._over:
            self._end()
            self._owner.refused(self, EOF if self._own is None else LOCAL, "it ended")

    def pause_writing(self) -> None:
        """Nothing is written."""

    def resume_writing(self) -> None:
        """Nothing is written."""

    # what is there

    def _readable(self) -> None:
        try:
            seen = self._raw.peek(LONGEST)
        except BlockingIOError:
            return
        except OSError as e:
            self._raw.failed(e)
            return
        own = self._own
        if own is not None:
            if seen:
                self._received(own)
            else:
                self._refuse(LOCAL, "it only looked")
            return
        if not seen:
            if self._header:
                self._refuse(MALFORMED, f"its PROXY protocol header broke off after {len(self._header)} bytes")
            else:
                self._refuse(EOF, "it ended without a header")
            return
        try:
            said = parse(self._header + seen)
        except Missing as e:
            self._refuse(MISSING, f"it does not begin with a PROXY protocol header: {e}")
            return
        except Malformed as e:
            self._refuse(MALFORMED, f"its PROXY protocol header is none that may be taken: {e}")
            return
        if isinstance(said, NeedMore):
            self._header += self._raw.take(len(seen))
            self._raw.low_water(said.at_least - len(self._header))
            return
        self._raw.take(said.size - len(self._header))
        if not said.local:
            self._received(said)
            return
        self._own = said
        self._raw.low_water(1)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._clock.callLater(self._moment, self._received, said)
        self._readable()

    def _received(self, header: Header) -> None:
        self._end()
        self._owner.received(self, header)

    # clocks

    def _expired(self) -> None:
        self._timer = None
        self._refuse(TIMEOUT, f"there was no PROXY protocol header within {self._seconds:g} s")

    def _drained(self) -> None:
        self._timer = None
        if not self._header:
            self._refuse(EOF, "it has said nothing")
        else:
            left = self._seconds - (self._clock.seconds() - self._began)
            self._timer = self._clock.callLater(max(0.0, left), self._expired)

    # the end

    def _refuse(self, result: str, why: str) -> None:
        self._end()
        self._owner.refused(self, result, why)
        self.stream.close()

    def _end(self) -> None:
        """It is over: the stream's readiness is its own again."""
        self._over = True
        self._raw.divert_reading(None)
        self._raw.low_water(1)
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()
