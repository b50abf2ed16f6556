# -*- test-case-name: tests.discover.test_resolver -*-
"""
Tests for L{lproxy.discover.resolver} without a network. TCP, and real servers: L{tests.integration.test_dns}.
"""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet.task import Clock
from twisted.names import dns
from twisted.names.error import DNSNameError, DNSServerError
from twisted.trial.unittest import SynchronousTestCase

from lproxy.config import Dns as Config
from lproxy.discover.resolver import MOST, Resolver, answer_in
from lproxy.discover.system import System
from tests.discover.doubles import a

FIRST, SECOND = ("10.0.0.53", 53), ("fd00::53", 53)


class FakePort:
    """One UDP socket."""

    def __init__(self, reactor: FakeReactor, server: tuple[str, int], protocol: Any) -> None:
        self.reactor = reactor
        self.server = server
        self.protocol = protocol

    def send(self, data: bytes) -> None:
        self.question = dns.Message()
        self.question.fromStr(data)

    def close(self) -> None:
        self.reactor.open.remove(self)

    def answer(self, *records: dns.RRHeader, code: int = dns.OK, **changed: Any) -> None:
        """The server answers, or somebody in its stead."""
        message = dns.Message(self.question.id, answer=1, rCode=code)
        message.queries = self.question.queries
        message.answers = list(records)
        for name, value in changed.items():
            setattr(message, name, value)
        self.protocol.received(message.toStr())


class FakeReactor(Clock):
    """Time and UDP. C{open} are the sockets that are."""

    unreachable = ""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[FakePort] = []

    def udp(self, reactor: FakeReactor, server: tuple[str, int], protocol: Any) -> FakePort:
        if server[0] == self.unreachable:
            raise OSError(errno.ENETUNREACH, "Network is unreachable")
        self.open.append(FakePort(self, server, protocol))
        return self.open[-1]


class ResolverTests(SynchronousTestCase):
    """Asking DNS servers."""

    def setUp(self) -> None:
        self.reactor = FakeReactor()
        self.servers = [FIRST, SECOND]
        self.resolver = Resolver(self.reactor, lambda: self.servers, 1.0, self.reactor.udp)

    def tearDown(self) -> None:
        """Neither sockets nor timers stay behind."""
        self.assertEqual(([], []), (self.reactor.open, self.reactor.getDelayedCalls()))

    def asked(self, server: tuple[str, int]) -> FakePort:
        """The one socket there is, which asks C{server}."""
        (port,) = self.reactor.open
        self.assertEqual(server, port.server)
        return port

    def test_answer(self) -> None:
        """The first server is asked, recursively, and its answer is the answer."""
        d = self.resolver.lookupAddress("web")
        port = self.asked(FIRST)
        self.assertEqual(([dns.Query("web", dns.A)], 1), (port.question.queries, port.question.recDes))
        port.answer(*a("web", "10.0.0.1"))
        self.assertEqual((a("web", "10.0.0.1"), [], []), self.successResultOf(d))

    def test_aaaa(self) -> None:
        """AAAA is asked for in the same way."""
        d = self.resolver.lookupIPV6Address("web")
        self.assertEqual([dns.Query("web", dns.AAAA)], self.asked(FIRST).question.queries)
        self.asked(FIRST).answer()
        self.assertEqual(([], [], []), self.successResultOf(d))

    def test_silence(self) -> None:
        """Servers that say nothing are asked in turn, twice each, the timeout each time."""
        d = self.resolver.lookupAddress("web")
        for server in (FIRST, SECOND, FIRST, SECOND):
            self.asked(server)
            self.reactor.advance(1.0)
        error = self.failureResultOf(d, TimeoutError).value
        self.assertEqual("no answer from [fd00::53]:53 within 1 s", str(error))

    def test_refused(self) -> None:
        """Where there is no server, the next one is asked at once."""
        d = self.resolver.lookupAddress("web")
        for server in (FIRST, SECOND, FIRST, SECOND):
            port = self.asked(server)
            port.protocol.failed(OSError(errno.ECONNREFUSED, "Connection refused"))
        self.assertIn("[fd00::53]:53: Connection was refused", str(self.failureResultOf(d, OSError).value))

    def test_unreachable(self) -> None:
        """So it is where there is no way to one."""
        self.reactor.unreachable = FIRST[0]
        d = self.resolver.lookupAddress("web")
        self.asked(SECOND).answer()
        self.successResultOf(d)

    def test_server_error(self) -> None:
        """One that has an error of its own is not asked again; the next one is."""
        d = self.resolver.lookupAddress("web")
        self.asked(FIRST).answer(code=dns.ESERVER)
        self.asked(SECOND).answer(code=dns.EREFUSED)
        self.assertEqual("REFUSED from [fd00::53]:53", str(self.failureResultOf(d).value))

    def test_server_error_then_silence(self) -> None:
        """The second round is for those that were silent."""
        d = self.resolver.lookupAddress("web")
        self.asked(FIRST).answer(code=dns.ESERVER)
        self.reactor.advance(1.0)
        self.asked(SECOND).answer(code=dns.ESERVER)
        self.failureResultOf(d, DNSServerError)

    def test_unknown_code(self) -> None:
        """A code of no name is a failure like others."""
        self.servers = [FIRST]
        d = self.resolver.lookupAddress("web")
        self.asked(FIRST).answer(code=9)
        self.assertEqual("code 9 from 10.0.0.53:53", str(self.failureResultOf(d).value))

    def test_no_name(self) -> None:
        """NXDOMAIN is an answer: nobody else is asked."""
        d = self.resolver.lookupAddress("web")
        self.asked(FIRST).answer(code=dns.ENAME)
        self.assertEqual("NXDOMAIN from 10.0.0.53:53", str(self.failureResultOf(d, DNSNameError).value))

    def test_no_server(self) -> None:
        """Without a server to ask it fails at once."""
        self.servers = []
        self.assertIn("no resolver", str(self.failureResultOf(self.resolver.lookupAddress("web"), OSError).value))

    def test_no_socket(self) -> None:
        """Without a socket, too, and it says so."""

        def udp(*args: Any) -> Any:
            raise OSError(errno.EMFILE, "Too many open files")

        resolver = Resolver(self.reactor, lambda: self.servers, 1.0, udp)
        error = self.failureResultOf(resolver.lookupAddress("web"), OSError).value
        self.assertEqual(errno.EMFILE, error.errno)

    def test_not_the_answer(self) -> None:
        """What does not answer the question is not heard: another id or question, no answer, nonsense."""
        d = self.resolver.lookupAddress("web")
        port = self.asked(FIRST)
        wrong = a("web", "10.6.6.6")
        port.answer(*wrong, id=port.question.id ^ 1)
        port.answer(*wrong, queries=[dns.Query("other", dns.A)])
        port.answer(*wrong, queries=[dns.Query("web", dns.AAAA)])
        port.answer(*wrong, queries=[])
        port.answer(*wrong, answer=0)
        for data in (b"", b"\0", b"\xff" * 600, port.question.toStr()[:20]):
            port.protocol.received(data)
        self.assertNoResult(d)
        port.answer(*a("web", "10.0.0.1"), queries=[dns.Query("WEB", dns.A)])
        port.answer(*wrong)
        self.assertEqual(a("web", "10.0.0.1"), self.successResultOf(d)[0])

    def test_any_bytes(self) -> None:
        """No bytes make the decoder raise: an answer with every byte changed, and cut everywhere."""
        question = dns.Message(1)
        question.queries = [dns.Query("web", dns.A)]
        message = dns.Message(1, answer=1)
        message.queries, message.answers = question.queries, a("web", "10.0.0.1")
        data = message.toStr()
        self.assertIsInstance(answer_in(data, question), dns.Message)
        for i in range(len(data)):
            answer_in(data[:i], question)
            for value in (0, 0xC0, 0xFF):
                answer_in(data[:i] + bytes([value]) + data[i + 1 :], question)

    def test_cancel(self) -> None:
        """Cancelling closes the socket and asks nobody else."""
        d = self.resolver.lookupAddress("web")
        d.cancel()
        self.failureResultOf(d)

    def test_bounded(self) -> None:
        """So many sockets at once and no more; the others wait in line, and can be cancelled there."""
        pending = [self.resolver.lookupAddress(f"h{i}") for i in range(MOST + 2)]
        self.assertEqual(MOST, len(self.reactor.open))
        gone = pending.pop(-2)
        gone.cancel()
        self.failureResultOf(gone)
        self.reactor.open[0].answer()
        self.assertEqual(MOST, len(self.reactor.open))
        while self.reactor.open:
            self.reactor.open[0].answer()
        for d in pending:
            self.successResultOf(d)

    def test_configured(self) -> None:
        """The configuration's servers are asked, else the machine's as they are at the time."""
        nothing = System("", "")

        def configured(config: Config) -> Resolver:
            resolver = Resolver.configured(config, self.reactor, nothing)
            resolver.udp = self.reactor.udp
            return resolver

        d = configured(Config(servers=("[::1]:5353",))).lookupAddress("web")
        self.asked(("::1", 5353)).answer()
        self.successResultOf(d)
        d = configured(Config()).lookupAddress("web")
        self.asked(("127.0.0.1", 53)).answer()
        self.successResultOf(d)
