# -*- test-case-name: tests.app.test_upkeep -*-
"""
Tests for L{lproxy.app.upkeep}.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.sessions import OVERDUE, NeverOver
from lproxy.app.upkeep import INTERVAL, NeverClosed, Upkeep
from lproxy.config import Listen
from lproxy.protocols.connection import ConnectionClient
from lproxy.target import Authority
from lproxy.transport.detect import TCP
from tests.app.scene import Scene

WEB = Authority("127.0.0.1", 80)


class UpkeepTests(SynchronousTestCase):
    """Assemblies that are looked after."""

    def setUp(self) -> None:
        self.scene = Scene(self)
        self.listen = Listen(name="a", address="127.0.0.1:0", protocol="note", target="127.0.0.1:80")
        self.assembly = self.scene.assembly(self.listen)
        self.addCleanup(self.assembly.close)
        around, reactor = self.scene.around, self.scene.reactor
        self.upkeep = Upkeep(lambda: [self.assembly.sessions], around.stacks, reactor, around.crashed)
        self.upkeep.start()
        self.addCleanup(self.upkeep.stop)

    def pass_by(self, looks: int = 2) -> None:
        for _ in range(looks):
            self.scene.reactor.settle(INTERVAL)

    def leases(self, protocol: str, count: int) -> list[Any]:
        """So many, of nobody's session."""
        runtime = self.scene.note.factories[0].runtime
        outward = runtime.outward
        stack = runtime.acquire(protocol, lambda place, about, _: ConnectionClient(outward, place, about, protocol))
        return [self.successResultOf(stack.acquire(WEB)) for _ in range(count)]

    def test_leases(self) -> None:
        """Leases that are out although no session of their protocol is left are told, once, by its name."""
        leases = self.leases("note", 3)
        self.pass_by(1)
        self.assertEqual([], self.scene.crashes)
        self.pass_by(5)
        self.assertEqual([("note", NeverClosed)], self.scene.crashes)
        leases += self.leases("note", 1)
        self.pass_by(5)
        self.assertEqual([("note", NeverClosed)] * 2, self.scene.crashes)
        for lease in leases:
            lease.close()
        self.pass_by(5)
        self.assertEqual(2, len(self.scene.crashes))

    def test_come_and_go(self) -> None:
        """One at each look, and each time another, is none that lasts: protocols may ask something by themselves."""
        for _ in range(5):
            (lease,) = self.leases("note", 1)
            self.pass_by(1)
            lease.close()
        self.assertEqual([], self.scene.crashes)

    def test_used(self) -> None:
        """Those that may be a session's are not: TCP's may be any protocol's that has turned into bytes."""
        leases = [*self.leases("note", 1), *self.leases(TCP, 1)]
        self.scene.client(self.listen)
        self.pass_by(5)
        self.assertEqual([], self.scene.crashes)
        for lease in leases:
            lease.close()

    def test_sessions(self) -> None:
        """Sessions are looked after as well."""
        self.scene.client(self.listen)
        (session,) = self.assembly.sessions
        session.connection_lost = lambda: None  # type: ignore[attr-defined]
        session.stream.abort()  # type: ignore[attr-defined]
        self.pass_by(int(OVERDUE / INTERVAL) + 2)
        self.assertEqual(([("note", NeverOver)], 0), (self.scene.crashes, len(self.assembly.sessions)))

    def test_ends(self) -> None:
        """It leaves no timer, however often it is stopped."""
        self.upkeep.stop()
        self.upkeep.stop()
        self.assembly.close()
        self.assertEqual([], self.scene.reactor.getDelayedCalls())
