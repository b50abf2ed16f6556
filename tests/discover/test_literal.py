# -*- test-case-name: tests.discover.test_literal -*-
"""
Tests for L{lproxy.discover.literal}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.discover.literal import Literal, NoRoute
from lproxy.errors import explain
from lproxy.target import Authority, Endpoint, OriginalDst, ServiceName, Target
from tests.discover.doubles import Elsewhere, Told


class LiteralTests(SynchronousTestCase):
    """Targets whose answer is in their name."""

    def setUp(self) -> None:
        self.elsewhere, self.told = Elsewhere(), Told()
        self.discover = Literal(self.elsewhere)

    def resolves(self, target: Target, *endpoints: str) -> None:
        """C{target} is C{endpoints}, known within C{watch}, and nobody else is asked."""
        watch = self.discover.watch(target, self.told)
        self.assertEqual([list(endpoints)], self.told.take())
        watch.refresh()
        watch.close()
        watch.close()
        self.assertEqual(([], []), (self.told.take(), self.elsewhere.watched))

    def test_endpoint(self) -> None:
        """An endpoint is itself."""
        self.resolves(Endpoint("10.0.0.1", 80), "10.0.0.1:80")

    def test_original_dst(self) -> None:
        """An original destination is one endpoint."""
        self.resolves(OriginalDst("10.0.0.1", 80), "10.0.0.1:80")
        self.resolves(OriginalDst("fd00::1", 80), "[fd00::1]:80")

    def test_ip_literals(self) -> None:
        """An authority that is an address is that address, in one spelling."""
        self.resolves(Authority("127.0.0.1", 80), "127.0.0.1:80")
        self.resolves(Authority("0:0::1", 80), "[::1]:80")
        self.resolves(Authority("FD00::A", 80), "[fd00::a]:80")

    def test_localhost(self) -> None:
        """localhost and all below it are the two loopback addresses, whatever DNS would say."""
        for host in ("localhost", "LocalHost", "localhost.", "web.localhost", "a.b.localhost."):
            self.resolves(Authority(host, 8080), "127.0.0.1:8080", "[::1]:8080")

    def test_invalid(self) -> None:
        """.invalid does not exist; whoever waits later is told so again, until the watch is closed."""
        target = Authority("web.Invalid", 80)
        watch = self.discover.watch(target, self.told)
        (error,) = self.told.take()
        self.assertIsInstance(error, NoRoute)
        self.assertEqual((target, "resolve: web.Invalid:80 does not exist"), (error.target, explain(error)))
        watch.refresh()
        (again,) = self.told.take()
        self.assertEqual(explain(error), explain(again))
        self.assertIsNot(error, again)  # one that is raised again and again would grow
        watch.close()
        watch.refresh()
        self.assertEqual(([], []), (self.told.take(), self.elsewhere.watched))

    def test_otherwise(self) -> None:
        """All the rest is somebody else's."""
        names = ("web.local", "localhost.example", "notlocalhost", "notinvalid", "1.2.3", "")
        targets = [*(Authority(name, 80) for name in names), ServiceName("localhost")]
        for target in targets:
            self.assertIdentical(self.elsewhere, self.discover.watch(target, self.told))
        self.assertEqual((targets, []), (self.elsewhere.watched, self.told.events))
