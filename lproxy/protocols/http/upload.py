# -*- test-case-name: tests.protocols.http.test_upload -*-
"""
A request's body on its way upstream: a slow upstream pauses the client, and nothing is taken before it can be sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lproxy.protocols.http import chunked
from lproxy.protocols.http.account import State
from lproxy.protocols.http.message import CHUNKED, Rejected
from lproxy.protocols.http.patience import Patience

if TYPE_CHECKING:
    from lproxy.protocols.http.factory import HttpFactory


class Upload(Patience):
    """
    A session's requests' bodies.

    @ivar first: the beginning of the body as it was dispatched, and C{whole}: whether all of it is on its way
    @ivar _eof: whether the client has said all it will
    """

    def __init__(self, factory: HttpFactory) -> None:
        super().__init__(factory)
        self._eof = False
        self.first = b""
        self.whole = True

    def again(self) -> None:
        """The body's rest may follow, on a connection that is new to it: a slow upstream pauses the client."""
        upstream = self.upstream
        if self.whole or upstream is None:
            return
        if upstream.transport.producer is None:
            # more may have come than was to be kept
            self.transport.resumeProducing()
            upstream.transport.registerProducer(self, True)
        self._pump()
        if self._eof and not self._reader.done and self._state is State.CALLING:
            self._half_a_request()

    def _take_body(self) -> bytes:
        """What has come of the body, encoded for the upstream."""
        reader = self._reader
        data = reader.body()
        if self.request.framing != CHUNKED:  # type: ignore[union-attr]
            return data
        out = chunked.encode(data) if data else b""
        return out + chunked.encode_end(reader.trailers) if reader.done else out

    def _pump(self) -> None:
        """Pass on what has come of the body."""
        upstream = self.upstream
        if upstream is None:
            self._keep()
            return
        try:
            data = self._take_body()
        except Rejected as e:
            self._reject(e)
            return
        if data:
            self._invited = True
            upstream.send(data)
        if self._reader.done:
            self.whole = True
            upstream.transport.unregisterProducer()
            if self._factory.has_clocks:
                self._sent()

    def _await_body(self) -> None:
        """From now on the client is waited for, as soon as it is its turn."""
        self._since = self._factory.seconds()
        self._progress = self.transport.bytes_in
        self._invited = bool(self.first)

    def _keep(self) -> None:
        """What was read waits, and what was not read if that is much."""
        if self._reader.buffered > self.transport.bufferSize:
            self.transport.pauseProducing()

    def _half_a_request(self) -> None:
        """Its end will not come. Whatever the upstream makes of it, nobody waits for that."""
        self._flags = "DC"
        self.transport.abortConnection()
