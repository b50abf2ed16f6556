# -*- test-case-name: tests.app.workers.test_sibling -*-
"""
L{lproxy.app.workers.sibling}: one worker asks another.
"""

from __future__ import annotations

import os
import secrets
import socket
from typing import Any

from twisted.internet import reactor as real
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from lproxy.app.workers import sibling
from lproxy.app.workers.sibling import Answers, Unanswered, ask
from lproxy.protocols.taps import Taps

reactor: Any = real


class SiblingTests(TestCase):
    """A real socket."""

    def setUp(self) -> None:
        self.taps = Taps()
        self.name = f"lproxy-test-{os.getpid()}-{secrets.token_hex(4)}"

    def listen(self, parts: Any) -> None:
        port = reactor.listenUNIX(f"\0{self.name}", Answers(parts, self.taps, reactor))
        self.addCleanup(port.stopListening)

    def test_answer(self) -> Deferred[None]:
        """What was asked for is answered, made at that moment, and nothing else; what there is not is left out."""

        async def go() -> None:
            self.listen({"ready": lambda: None, "families": lambda: [["a"], 1.5], "never": self.fail})
            told = await ask(self.name, ("ready", "families", "unknown"), reactor)
            self.assertEqual({"ready": None, "families": [["a"], 1.5]}, told)

        return Deferred.fromCoroutine(go())

    def test_nobody(self) -> Deferred[None]:
        """Where nobody is, that fails."""
        return self.assertFailure(Deferred.fromCoroutine(ask(self.name, ("ready",), reactor)), Exception)

    def test_other_user(self) -> Deferred[None]:
        """Another user is told nothing."""
        self.patch(sibling, "same_user", lambda sock: False)
        self.listen({"ready": lambda: "secret"})
        return self.assertFailure(Deferred.fromCoroutine(ask(self.name, ("ready",), reactor)), Unanswered)

    def test_hangs(self) -> Deferred[None]:
        """One that accepts and says nothing is not waited for for long."""
        self.patch(sibling, "PATIENCE", 0.05)
        server = socket.socket(socket.AF_UNIX)
        server.bind(f"\0{self.name}")
        server.listen()
        self.addCleanup(server.close)
        return self.assertFailure(Deferred.fromCoroutine(ask(self.name, ("ready",), reactor)), Exception)
