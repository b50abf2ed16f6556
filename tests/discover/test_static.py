# -*- test-case-name: tests.discover.test_static -*-
"""
Tests for L{lproxy.discover.static}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.config import PLAIN, Service
from lproxy.discover.literal import Literal
from lproxy.discover.static import Static
from lproxy.target import Authority, Endpoint, Member, Metadata, OriginalDst, Secure, ServiceName, Target
from tests.discover.doubles import Elsewhere, Told

SERVICES = {
    name: Service(name, endpoints)
    for name, endpoints in {
        "Web.local:80": ("127.0.0.1:8081", "[::1]:8082"),
        "db": ("10.0.0.1:5432",),
        "localhost:8080": ("[::1]:8080",),
    }.items()
}


class StaticTests(SynchronousTestCase):
    """Services from the configuration."""

    def setUp(self) -> None:
        self.elsewhere, self.told = Elsewhere(), Told()
        self.discover = Static(SERVICES, self.elsewhere)

    def resolves(self, target: Target, *endpoints: str) -> None:
        """C{target} is C{endpoints}, known within C{watch}, for good."""
        watch = self.discover.watch(target, self.told)
        self.assertEqual([sorted(endpoints)], self.told.take())
        watch.refresh()
        watch.close()
        self.assertEqual(([], []), (self.told.take(), self.elsewhere.watched))

    def test_authority(self) -> None:
        """A service named like an authority serves it, the host in any case."""
        self.resolves(Authority("web.local", 80), "127.0.0.1:8081", "[::1]:8082")
        self.resolves(Authority("WEB.LOCAL", 80), "127.0.0.1:8081", "[::1]:8082")

    def test_name(self) -> None:
        """Any service serves its name, exactly as it is written."""
        self.resolves(ServiceName("db"), "10.0.0.1:5432")
        self.resolves(ServiceName("Web.local:80"), "127.0.0.1:8081", "[::1]:8082")

    def test_member(self) -> None:
        """
        Who a service tells of is found where it is, by whoever finds others, and connected to as the service's own
        endpoints are; where the configuration has something else for that address, that.
        """
        services = {
            "kafka": Service("kafka", ("10.0.0.1:9092",), tls=True, ca="ca.pem"),
            "b-2.local:9092": Service("b-2.local:9092", ("10.0.0.2:9092",)),
        }
        discover = Static(services, Literal(self.elsewhere))
        member = Member("kafka", "10.0.0.7", 9093)
        discover.watch(member, self.told)
        self.assertEqual([["10.0.0.7:9093"]], self.told.take())
        known = {Endpoint("10.0.0.7", 9093): Metadata(Secure("10.0.0.7", ca="ca.pem"))}
        self.assertEqual((known, "kafka"), (self.told.about, discover.service(member).name))
        discover.watch(Member("kafka", "b-1.local", 9092), self.told)
        self.assertEqual([Authority("b-1.local", 9092)], self.elsewhere.watched)
        other = Member("kafka", "B-2.local", 9092)
        discover.watch(other, self.told)
        self.assertEqual([["10.0.0.2:9092"]], self.told.take())
        self.assertEqual("b-2.local:9092", discover.service(other).name)

    def test_named(self) -> None:
        """Endpoints may be names, which others look up; C{localhost} means both loopback addresses, unasked."""
        services = {"a": Service("a", ("localhost:1", "10.0.0.1:1", "b-1.local:1", "b-2.local:2"))}
        Static(services, self.elsewhere).watch(ServiceName("a"), self.told)
        self.assertEqual([["10.0.0.1:1", "127.0.0.1:1", "[::1]:1"]], self.told.take())
        self.assertEqual([Authority("b-1.local", 1), Authority("b-2.local", 2)], self.elsewhere.watched)

    def test_first(self) -> None:
        """What is configured needs no other name: even localhost can be."""
        self.resolves(Authority("localhost", 8080), "[::1]:8080")

    def test_otherwise(self) -> None:
        """All the rest is somebody else's: another port, a word as a host, an unknown name, an address."""
        targets = [
            Authority("web.local", 81),
            Authority("db", 80),
            ServiceName("web.local:80"),
            ServiceName("nobody"),
            OriginalDst("10.0.0.1", 5432),
            Endpoint("10.0.0.1", 5432),
        ]
        for target in targets:
            self.assertIdentical(self.elsewhere, self.discover.watch(target, self.told))
        self.assertEqual((targets, []), (self.elsewhere.watched, self.told.events))

    def test_service(self) -> None:
        """What the configuration says of who serves a target, and the defaults where that is nothing."""
        self.assertIs(SERVICES["db"], self.discover.service(ServiceName("db")))
        self.assertIs(SERVICES["Web.local:80"], self.discover.service(Authority("web.LOCAL", 80)))
        for target in (Authority("nobody", 80), ServiceName("nobody"), OriginalDst("10.0.0.1", 5432)):
            self.assertIs(PLAIN, self.discover.service(target))
