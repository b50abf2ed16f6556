# -*- test-case-name: tests.transport.test_spare -*-
"""
Twisted's spare descriptor.
"""

from __future__ import annotations

import builtins
from typing import Any

from twisted.internet import tcp
from twisted.internet.protocol import Factory
from twisted.trial.unittest import TestCase

from lproxy.transport.spare import reserve


class SpareTests(TestCase):
    def test_reserve(self) -> None:
        """Once it is there, a port listens without opening any file: in a chroot there is none."""
        from twisted.internet import reactor

        reserve()
        reserve()

        def refuse(*args: Any, **kwargs: Any) -> Any:
            raise FileNotFoundError(2, "No such file or directory")

        self.patch(builtins, "open", refuse)
        port = tcp.Port(0, Factory(), interface="127.0.0.1", reactor=reactor)
        port.startListening()
        self.addCleanup(port.stopListening)
