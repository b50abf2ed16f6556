# -*- test-case-name: tests.protocols.http.test_opening -*-
"""
Which version of HTTP does a connection speak, where nobody has found that out before?

A listener with a configured protocol has no detection. The preface of HTTP/2 (RFC 9113, 3.4) differs from every request
of HTTP/1 in its first bytes: mostly the first one tells. Under TLS the client has said it by ALPN, and is held to that.
Text that is neither, not even badly, is taken for a broken preface, as which it is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from lproxy.api import Accepted, NeedMore, NoMatch, Reader, Session, Stream
from lproxy.protocols.http.detect import PREFACE, detect
from lproxy.protocols.http.h1.encode import encode_response
from lproxy.protocols.http.listener import Listener
from lproxy.protocols.http.message import Rejected
from lproxy.protocols.http.patience import Patience
from lproxy.protocols.http.record import shown
from lproxy.protocols.http.rescue import refusal
from lproxy.protocols.http.timeouts import TooSlow

#: what a client has agreed to (RFC 9113, 3.2; RFC 7301)
ALPN_H2: Final = "h2"
ALPN_HTTP1: Final = "http/1.1"


#: what needs no closer look
USUAL: Final = (b"GET /", b"POST /", b"HEAD /", b"PUT /", b"DELETE /")
#: bytes after which nobody waits for what may yet become a request line
ENOUGH: Final = 2048


def foreign(heard: bytes) -> bool:
    """
    Whether C{heard} is text, and not even a request line gone wrong, which would name a path. Other bytes, such as a
    TLS hello, are no preface gone wrong either: what HTTP/1 says to them can be read.
    """
    line = heard.partition(b"\n")[0]
    return line[:1].isalpha() and b"/" not in line and isinstance(detect(heard), NoMatch)


class Opening(Reader):
    """
    A L{Session<lproxy.api.Session>} until it is known which one is to be.

    @ivar _settled: whether HTTP/2 was agreed upon: nothing else is spoken
    @ivar _ended: whether the client was told that it does not
    """

    __slots__ = (
        "_accepted",
        "_ended",
        "_heard",
        "_http1",
        "_http2",
        "_listener",
        "_patience",
        "_settled",
        "_since",
        "_stream",
    )

    def __init__(
        self,
        listener: Listener,
        accepted: Accepted,
        http1: Callable[[Accepted], Session],
        http2: Callable[[Accepted], Session],
        settled: bool,
    ) -> None:
        self._listener = listener
        self._accepted = accepted
        self._stream: Stream = accepted.stream
        self._http1 = http1
        self._http2 = http2
        self._settled = settled
        self._heard = b""
        self._since = 0.0
        self._patience = Patience()
        self._ended = False

    def __repr__(self) -> str:
        return f"<Opening idle {self._heard!r}>"

    # Session

    def start(self) -> None:
        """Read."""
        listener, accepted = self._listener, self._accepted
        self._since = accepted.since or listener.seconds()
        self._patience.since = listener.seconds()
        listener.clients[self] = None
        self._stream.attach(self, accepted.prefix, accepted.eof)
        if self in listener.clients:
            self._stream.resume()

    def drain(self) -> None:
        """Whatever it is about to say is still waited for, a moment."""
        self._patience.since = self._listener.seconds()

    def abort(self) -> None:
        """End now."""
        self._stream.abort()

    def describe(self) -> dict[str, Any]:
        """A row of C{/connections}."""
        row = self._listener.record.row(self._stream.conn, "idle")
        row |= shown(None, 0.0)
        row["requests"] = 0
        row["bytes_in"] = self._stream.bytes_in
        row["bytes_out"] = self._stream.bytes_out
        return row

    # Reader

    def data_received(self, data: bytes) -> None:
        """The first bytes."""
        if self._ended:
            return
        if not self._heard and not self._accepted.prefix:
            self._since = self._listener.seconds()
        heard = self._heard = self._heard + data if self._heard else data
        if heard.startswith(USUAL) and not self._settled:
            self._hand_over(self._http1, False)
        elif heard.startswith(PREFACE):
            self._hand_over(self._http2, False)
        elif not PREFACE.startswith(heard) and (len(heard) > ENOUGH or not isinstance(detect(heard), NeedMore)):
            self._other(False)

    def eof_received(self) -> None:
        """The client says no more than that."""
        if self._ended:
            self._stream.close()
        else:
            self._other(True)

    def connection_lost(self) -> None:
        """It is gone."""
        self._listener.clients.pop(self, None)
        self._listener.runtime.sessions.remove(self)

    def pause_writing(self) -> None:
        """There is nothing to write but a refusal."""

    def resume_writing(self) -> None:
        """Nor now."""

    def _other(self, eof: bool) -> None:
        """It does not begin as HTTP/2 does."""
        if foreign(self._heard):
            self._hand_over(self._http2, eof)
        elif self._settled:
            self._refuse(Rejected("", 400, "req_line", "HTTP/2 was agreed upon by ALPN, and this is something else"))
        else:
            self._hand_over(self._http1, eof)

    def _hand_over(self, make: Callable[[Accepted], Session], eof: bool) -> None:
        listener = self._listener
        del listener.clients[self]
        # what detection has read came at once, its end included
        eof = eof or self._accepted.eof
        accepted = self._accepted._replace(prefix=self._heard, eof=eof, since=self._since)
        listener.runtime.sessions.replace(self, make(accepted))

    def _refuse(self, rejected: Rejected) -> None:
        """In words that whoever it is may understand."""
        conn, record = self._stream.conn, self._listener.record
        record.rejected(rejected, conn)
        head, body = refusal(rejected)
        record.log_refused(conn, rejected.status, rejected.flag, len(body))
        self._ended = True
        self._patience.linger(self._listener.seconds(), self._stream.bytes_in, False)
        self._stream.write(encode_response(head, 11, True) + body)
        self._stream.end()

    def tick(self, now: float) -> None:
        """Called by the sweep: is the client too slow?"""
        header_read = self._listener.runtime.timeouts.header_read
        if self._ended:
            if self._patience.lingered(now, self._stream.bytes_in):
                self._stream.close()
        elif self._heard:
            if now - self._since >= header_read:
                self._refuse(TooSlow(f"the first line took longer than {header_read:g} s"))
        elif now - self._patience.since >= self._listener.idle() and self._stream.silent():
            self._stream.close()
