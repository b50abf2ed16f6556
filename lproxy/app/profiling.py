# -*- test-case-name: tests.app.test_profiling -*-
"""
C{--profile-port}: a port of L{lproxy.admin.profiling} beside the proxy.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError

from lproxy.admin.profiling import HOST, profile_site
from lproxy.admin.sampler import Sampler
from lproxy.app.assembly import CannotStart
from lproxy.app.log import log


class ProfilePort(Service):
    """Listens on 127.0.0.1 while the proxy runs. Nothing is sampled before it is told to."""

    def __init__(self, port: int, shutdown: Callable[[], None], reactor: Any) -> None:
        self._number = port
        self._shutdown = shutdown
        self._sampler = Sampler()
        self._reactor = reactor
        self._port: Any = None

    def startService(self) -> None:
        """Raises L{CannotStart}."""
        site = profile_site(self._sampler, self._shutdown)
        try:
            self._port = self._reactor.listenTCP(self._number, site, interface=HOST)
        except CannotListenError as e:
            why = getattr(e.socketError, "strerror", None) or e.socketError
            raise CannotStart(f"--profile-port: cannot listen on {HOST}:{self._number}: {why}") from e
        super().startService()  # type: ignore[no-untyped-call]
        log.info(
            "profile port on http://{host}:{port}/, process {pid}",
            host=HOST,
            port=self._port.getHost().port,
            pid=os.getpid(),
        )

    def stopService(self) -> Deferred[None]:
        """Sample and listen no more."""
        super().stopService()  # type: ignore[no-untyped-call]
        self._sampler.stop()
        stopped: Deferred[None] = self._port.stopListening()
        return stopped
