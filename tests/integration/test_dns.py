# -*- test-case-name: tests.integration.test_dns -*-
"""
L{lproxy.discover.dns} against a real DNS server, of twisted.names, on UDP and TCP.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import CannotListenError
from twisted.names import dns
from twisted.names.authority import FileAuthority
from twisted.names.server import DNSServerFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from lproxy.config import Dns as Config
from lproxy.discover.dns import Dns
from lproxy.discover.host import ResolveFailed
from lproxy.discover.literal import NoRoute
from lproxy.discover.system import System
from lproxy.errors import explain
from lproxy.target import Authority
from tests.discover.doubles import Told

#: more addresses than fit into 512 bytes
MANY = [f"10.0.1.{i}" for i in range(1, 101)]

ZONE: dict[str, list[Any]] = {
    "web.test": [dns.Record_A("10.0.0.1", 60), dns.Record_A("10.0.0.2", 60), dns.Record_AAAA("fd00::1", 60)],
    "alias.test": [dns.Record_CNAME("web.test", 60)],
    "_v6._only.test": [dns.Record_AAAA("fd00::1", 60)],
    "mail.test": [dns.Record_MX(10, "web.test", 60)],
    "many.test": [dns.Record_A(address, 60) for address in MANY],
    "short.test": [dns.Record_A("10.0.0.1", 0)],
}


class Waiting(Told):
    """A watcher with a Deferred for what it is told."""

    def __init__(self, enough: Any = lambda event: True) -> None:
        super().__init__()
        self.enough = enough
        self.told: Deferred[Any] = Deferred()

    def endpoints(self, endpoints, about={}):  # noqa: B006 - never changed
        super().endpoints(endpoints)
        self.note()

    def unresolved(self, error):
        super().unresolved(error)
        self.note()

    def note(self) -> None:
        if self.enough(self.events[-1]) and not self.told.called:
            self.told.callback(self.events[-1])


class Zone(FileAuthority):
    """The zone C{test}, from memory."""

    def __init__(self) -> None:
        super().__init__("")

    def loadFile(self, filename: str) -> None:
        soa = dns.Record_SOA("ns.test", "root.test", 1, 60, 60, 60, 60)
        self.soa = (b"test", soa)
        self.records = {b"test": [soa], **{name.encode(): records for name, records in ZONE.items()}}


class Factory(DNSServerFactory):
    """A server that counts, and may be told to be ill."""

    noisy = False
    code: int | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.queries: list[str] = []
        self.tcp: list[Any] = []

    def connectionMade(self, protocol):
        self.tcp.append(protocol)
        super().connectionMade(protocol)

    def handleQuery(self, message, protocol, address):
        self.queries.append(str(message.queries[0].name))
        if self.code is not None:
            return self.gotResolverError(Failure(ValueError()), protocol, message, address)
        return super().handleQuery(message, protocol, address)

    def gotResolverError(self, failure, protocol, message, address):
        if self.code is not None:
            message.rCode, message.answer = self.code, 1
            return self.sendReply(protocol, message, address)
        return super().gotResolverError(failure, protocol, message, address)

    def sendReply(self, protocol, message, address):
        if address is not None and len(message.toStr()) > 512:
            message.trunc, message.answers = 1, []
        super().sendReply(protocol, message, address)


class DnsTests(TestCase):
    """Endpoints from a real DNS server."""

    timeout = 10

    def setUp(self) -> None:
        self.factory = Factory(authorities=[Zone()])
        while True:
            self.tcp = reactor.listenTCP(0, self.factory, interface="127.0.0.1")
            self.port = self.tcp.getHost().port
            try:
                self.udp = reactor.listenUDP(self.port, dns.DNSDatagramProtocol(self.factory), interface="127.0.0.1")
            except CannotListenError:
                self.tcp.stopListening()  # free for TCP is not free for UDP
            else:
                break
        self.addCleanup(self.stop)
        self.watches: list[Any] = []
        self.dns = self.discover(self.port)

    def discover(self, *ports: int, timeout: float = 5.0, ttl_min: float = 5.0) -> Dns:
        """A discovery that asks servers at C{ports}."""
        servers = tuple(f"127.0.0.1:{port}" for port in ports)
        return Dns(Config(servers=servers, timeout=timeout, ttl_min=ttl_min), reactor, system=System("", ""))

    def stop(self) -> Any:
        for watch in self.watches:
            watch.close()
        for protocol in self.factory.tcp:
            protocol.transport.abortConnection()
        return gatherResults([d for d in (self.udp.stopListening(), self.tcp.stopListening()) if d is not None])

    def watch(self, host: str, enough: Any = lambda event: True, discover: Dns | None = None) -> Deferred[Any]:
        """What a watcher of C{host} is told that is C{enough}."""
        waiting = Waiting(enough)
        self.watches.append((discover or self.dns).watch(Authority(host, 80), waiting))
        return waiting.told

    async def test_answer(self) -> None:
        """A and AAAA of a name become its endpoints."""
        told = await self.watch("Web.test", lambda event: len(event) == 3)
        self.assertEqual(["10.0.0.1:80", "10.0.0.2:80", "[fd00::1]:80"], told)
        self.assertEqual(["web.test", "web.test"], self.factory.queries)

    async def test_alias(self) -> None:
        """A CNAME is followed."""
        told = await self.watch("alias.test", lambda event: len(event) == 3)
        self.assertEqual(["10.0.0.1:80", "10.0.0.2:80", "[fd00::1]:80"], told)

    async def test_one_family(self) -> None:
        """A name with AAAA alone has that, underscores and all."""
        self.assertEqual(["[fd00::1]:80"], await self.watch("_v6._only.test"))

    async def test_truncated(self) -> None:
        """An answer too big for UDP comes over TCP, and the connection does not stay."""
        told = await self.watch("many.test")
        self.assertEqual(sorted(f"{address}:80" for address in MANY), told)
        self.assertEqual(1, len(self.factory.tcp))
        while self.factory.connections:
            await sleep(0.01)

    async def test_no_name(self) -> None:
        """A name that does not exist, or has no address, is no route."""
        error = await self.watch("nobody.test")
        self.assertIsInstance(error, NoRoute)
        self.assertEqual(f"resolve: nobody.test:80 does not exist: NXDOMAIN from 127.0.0.1:{self.port}", explain(error))
        self.assertIsInstance(await self.watch("mail.test"), NoRoute)

    async def test_server_failure(self) -> None:
        """A server that is ill is a failure; once it is well its answer comes by itself."""
        self.factory.code = dns.ESERVER
        watcher = Waiting(lambda event: isinstance(event, list))
        self.watches.append(self.dns.watch(Authority("web.test", 80), watcher))
        while not watcher.events:
            await sleep(0.01)
        (error,) = watcher.events
        self.assertIsInstance(error, ResolveFailed)
        self.assertIn(f"SERVFAIL from 127.0.0.1:{self.port}", explain(error))
        self.factory.code = None
        await watcher.told

    async def test_next_server(self) -> None:
        """A server that is not there costs nothing: the next is asked at once."""
        nobody = reactor.listenUDP(0, dns.DNSDatagramProtocol(self.factory), interface="127.0.0.1")
        port = nobody.getHost().port
        await nobody.stopListening()
        began = reactor.seconds()
        await self.watch("web.test", discover=self.discover(port, self.port))
        self.assertLess(reactor.seconds() - began, 2.0)

    async def test_silent_server(self) -> None:
        """One that says nothing costs one timeout."""
        silent = reactor.listenUDP(0, Silent(), interface="127.0.0.1")
        self.addCleanup(silent.stopListening)
        await self.watch("web.test", discover=self.discover(silent.getHost().port, self.port, timeout=0.05))

    async def test_close(self) -> None:
        """Closing the last watch while a silent server is asked leaves nothing in the reactor."""
        silent = reactor.listenUDP(0, Silent(), interface="127.0.0.1")
        self.addCleanup(silent.stopListening)
        told = self.watch("web.test", discover=self.discover(silent.getHost().port, timeout=60.0))
        await sleep(0.01)
        self.watches.pop().close()
        await sleep(0)
        self.assertNoResult(told)

    async def test_expiry(self) -> None:
        """An answer is asked for again when it expires, for a TTL of zero no sooner than the floor."""
        watcher = Waiting(lambda event: event == ["10.0.0.9:80"])
        self.watches.append(self.discover(self.port, ttl_min=0.0).watch(Authority("short.test", 80), watcher))
        while not watcher.events:
            await sleep(0.01)
        self.patch(ZONE["short.test"][0], "address", b"\x0a\x00\x00\x09")
        began = reactor.seconds()
        await watcher.told
        self.assertGreater(reactor.seconds() - began, 0.3)


class Silent(dns.DNSDatagramProtocol):
    """A server that says nothing."""

    noisy = False

    def __init__(self) -> None:
        super().__init__(None, reactor)

    def datagramReceived(self, data, addr):
        pass


def sleep(seconds: float) -> Deferred[None]:
    d: Deferred[None] = Deferred()
    reactor.callLater(seconds, d.callback, None)
    return d
