# -*- test-case-name: tests.protocols.http.test_factory -*-
"""
HTTP sessions of one listener: what they share is made here, and one clock looks for those that are slow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from twisted.internet.interfaces import IDelayedCall

from lproxy.api import Accepted, Detector, Explains, Runtime, Session, Target
from lproxy.protocols.http.detect import HTTP2, detect
from lproxy.protocols.http.h1.server import Http1Server
from lproxy.protocols.http.h2.limits import configured
from lproxy.protocols.http.h2.server import Http2Server
from lproxy.protocols.http.listener import Listener
from lproxy.protocols.http.metrics import HttpMetrics
from lproxy.protocols.http.opening import ALPN_H2, ALPN_HTTP1, Opening
from lproxy.protocols.http.record import Recorder
from lproxy.protocols.http.upstreams import Upstreams

#: seconds after which routes are remembered anew
FORGET: Final = 600.0
#: seconds between two looks at who is slow; less where limits are shorter
TICK: Final = 1.0
#: the same while draining, which ends with the last who is idle
DRAIN_TICK: Final = 0.1


class HttpFactory(Explains):
    """A L{SessionFactory<lproxy.api.SessionFactory>}."""

    name = "http"

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.detector: Detector | None = detect
        self.metrics = HttpMetrics(runtime.counters, runtime.direction, runtime.listen.name)
        self._upstreams = upstreams = Upstreams(runtime, self.name)
        record = Recorder(runtime, self.name, self.metrics.faults)
        self.listener = Listener(runtime, upstreams, self.metrics, record)
        self._limits = configured(runtime.limits)
        timeouts = runtime.timeouts
        self._tick = min(TICK, timeouts.header_read / 4, timeouts.client_idle / 4)
        self._forget_at = self.listener.seconds() + FORGET
        self._sweeper: IDelayedCall | None = None
        self._kept: set[Target] = set()
        self._unwatch: Callable[[], None] | None = None
        self._stopped = False

    def session(self, accepted: Accepted) -> Session:
        """For one connection, in the version that it speaks; under TLS that is what was agreed upon."""
        tls = accepted.stream.conn.tls
        alpn = tls.alpn if tls is not None else ""
        if accepted.variant == HTTP2.variant and alpn != ALPN_HTTP1:
            return self._http2(accepted)
        if alpn == ALPN_HTTP1 or (accepted.variant and alpn != ALPN_H2):
            return self._http1(accepted)
        return Opening(self.listener, accepted, self._http1, self._http2, alpn == ALPN_H2)

    def _http1(self, accepted: Accepted) -> Session:
        return Http1Server(self.listener, accepted)

    def _http2(self, accepted: Accepted) -> Session:
        return Http2Server(self.listener, accepted, self.runtime.listen.http2_engine, self._limits)

    def start(self) -> None:
        """The listener opens."""
        self._stopped = False
        self.listener.start()
        self._keep()
        if self._unwatch is None:
            self._unwatch = self.runtime.profiles.watch(self._keep)
        if self._sweeper is None:
            self._sweep()

    def drain(self) -> None:
        """From now on every answer is its connection's last."""
        self.listener.draining = True
        if self.runtime.superseded():
            return  # nobody waits for the last of its clients, who may stay for hours
        self._tick = min(self._tick, DRAIN_TICK)
        if self._sweeper is not None:
            self._sweeper.reset(self._tick)

    def stop(self) -> None:
        """The last connection is gone."""
        self._stopped = True
        self.listener.stop()
        unwatch, self._unwatch = self._unwatch, None
        if unwatch is not None:
            unwatch()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    def _keep(self) -> None:
        """Have those checked who are to be, and are not yet: profiles may have others serve than before."""
        for target in self.runtime.checked():
            if target not in self._kept:
                self._kept.add(target)
                self._upstreams.keep(target, self.runtime.service(target))

    def _sweep(self) -> None:
        # the last client may end in here, and with it all of this
        self._sweeper = None
        listener = self.listener
        now = listener.seconds()
        if now >= self._forget_at:
            listener.forget()
            self._forget_at = now + FORGET
        for client in list(listener.clients):
            try:
                client.tick(now)
            except BaseException as e:
                # that client's own trouble, not the others'
                listener.record.crashed(e)
                client.abort()
        if not self._stopped:
            self._sweeper = self.runtime.clock.callLater(self._tick, self._sweep)
