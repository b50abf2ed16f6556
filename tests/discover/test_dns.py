# -*- test-case-name: tests.discover.test_dns -*-
"""
Tests for L{lproxy.discover.dns}: what is asked for. What is made of the answers: L{tests.discover.test_host}.
"""

from __future__ import annotations

from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.config import Dns as Config
from lproxy.discover.dns import Dns
from lproxy.discover.literal import NoRoute
from lproxy.discover.system import System
from lproxy.errors import explain
from lproxy.target import Authority, ServiceName
from tests.discover.doubles import NODATA, NXDOMAIN, SERVFAIL, ScriptedResolver, Told, a, aaaa


class DnsTests(SynchronousTestCase):
    """Endpoints from DNS."""

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.hosts, self.resolv_conf = folder / "hosts", folder / "resolv.conf"
        self.clock, self.resolver, self.told = Clock(), ScriptedResolver(), Told()
        self.dns = self.make(Config())

    def make(self, config: Config) -> Dns:
        return Dns(config, self.clock, self.resolver, System(str(self.hosts), str(self.resolv_conf)))

    def refused(self, watch, text: str) -> None:
        """There is no route, nobody was asked, and who waits is told again until the watch closes."""
        (error,) = self.told.take()
        self.assertIsInstance(error, NoRoute)
        self.assertEqual(text, explain(error))
        watch.refresh()
        self.assertEqual([text], [explain(again) for again in self.told.take()])
        watch.close()
        watch.refresh()
        self.assertEqual(([], []), (self.told.take(), self.resolver.take()))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_service_name(self) -> None:
        """A service that is not configured is not looked for."""
        watch = self.dns.watch(ServiceName("db"), self.told)
        self.refused(watch, "resolve: db is not in [services]")

    def test_bad_names(self) -> None:
        """A name that DNS has no words for is no route, not an exception."""
        for host, why in {
            "a" * 64: "a label of the name is longer than 63 characters",
            "a..b": "a label of the name is empty",
            "": "a label of the name is empty",
            "bücher": "the name is not ASCII; an international one is written as xn--...",
        }.items():
            watch = self.dns.watch(Authority(host, 80), self.told)
            self.refused(watch, f"resolve: {host}:80 does not exist: {why}")

    def test_underscore(self) -> None:
        """A name with an underscore is looked up."""
        self.dns.watch(Authority("_my_web", 80), self.told)
        self.assertEqual([("A", "_my_web"), ("AAAA", "_my_web")], self.resolver.take())

    def test_hosts(self) -> None:
        """What /etc/hosts has is not asked for, in either family, and is looked at again after the floor."""
        self.hosts.write_text("10.0.0.1 web\nfd00::1 web\n10.0.0.3 db\n")
        self.dns.watch(Authority("Web", 80), self.told)
        self.dns.watch(Authority("db", 80), self.told)
        self.assertEqual([["10.0.0.1:80", "[fd00::1]:80"], ["10.0.0.3:80"]], self.told.take())
        self.hosts.write_text("10.0.0.2 web # moved\n10.0.0.3 db\n")
        self.clock.advance(5.5)
        self.assertEqual(([["10.0.0.2:80"]], []), (self.told.take(), self.resolver.take()))

    def test_hosts_gone(self) -> None:
        """A name that leaves /etc/hosts is asked for, and nothing of the old answer stays with the new one."""
        self.hosts.write_text("10.0.0.1 web\n")
        self.dns.watch(Authority("web", 80), self.told)
        self.hosts.unlink()
        self.clock.advance(5.5)
        self.resolver.both("web", SERVFAIL, aaaa("web", "fd00::1"))
        self.assertEqual([["10.0.0.1:80"], ["[fd00::1]:80"]], self.told.take())

    def test_search(self) -> None:
        """The machine's search list is used, and not for a name with a last dot."""
        self.resolv_conf.write_text("search a b\n")
        self.dns.watch(Authority("web", 80), self.told)
        self.resolver.both("web.a", NXDOMAIN, NXDOMAIN)
        self.resolver.both("web.b", a("web.b", "10.0.0.1"), NODATA)
        self.assertEqual([["10.0.0.1:80"]], self.told.take())
        self.resolver.take()
        self.dns.watch(Authority("web.", 80), self.told)
        self.assertEqual([("A", "web"), ("AAAA", "web")], self.resolver.take())

    def test_search_moves(self) -> None:
        """Where another candidate answers than before, nothing of the old one's addresses stays."""
        self.resolv_conf.write_text("search a\n")
        self.dns.watch(Authority("web", 80), self.told)
        self.resolver.both("web.a", a("web.a", "10.0.0.1"), aaaa("web.a", "fd00::1"))
        self.told.take()
        self.clock.advance(60)
        self.resolver.both("web.a", NXDOMAIN, NXDOMAIN)
        self.resolver.both("web", a("web", "10.0.0.2"), SERVFAIL)
        self.assertEqual([["10.0.0.2:80"]], self.told.take())

    def test_own_servers(self) -> None:
        """With configured servers the machine's search list does not count."""
        self.resolv_conf.write_text("search a b\n")
        self.make(Config(servers=("10.0.0.53:53",))).watch(Authority("web", 80), self.told)
        self.assertEqual([("A", "web"), ("AAAA", "web")], self.resolver.take())

    def test_repr(self) -> None:
        """State can be seen."""
        self.dns.watch(Authority("web", 80), self.told)
        (host,) = self.dns._hosts.values()
        self.assertEqual("<Host web asking, 0 addresses, 1 watches>", repr(host))
        self.resolver.both("web", SERVFAIL, SERVFAIL)
        self.assertEqual("<Host web failed, 0 addresses, 1 watches>", repr(host))
        self.clock.advance(1)
        self.resolver.both("web", a("web", "10.0.0.1"))
        self.assertEqual("<Host web resolved, 1 addresses, 1 watches>", repr(host))
        self.assertEqual("<Dns 1 hosts>", repr(self.dns))
