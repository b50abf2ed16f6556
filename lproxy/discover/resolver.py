# -*- test-case-name: tests.discover.test_resolver -*-
"""
Ask DNS servers, over UDP and, where an answer does not fit, over TCP.

twisted.names has the wire format and the errors; its own client cannot be cancelled (sockets and timers stay behind),
waits out its timeout for a server that is not there, reads resolv.conf by a timer that never ends and leaves TCP
connections open. A query here is one coroutine with all that it holds.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.abstract import isIPv6Address
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectError, ConnectionLost, ConnectionRefusedError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import DatagramProtocol, Factory, connectionDone
from twisted.names import dns
from twisted.names.error import (
    DNSFormatError,
    DNSNameError,
    DNSNotImplementedError,
    DNSQueryRefusedError,
    DNSServerError,
    DNSUnknownError,
    DomainError,
)
from twisted.protocols.basic import Int16StringReceiver
from twisted.python.failure import Failure

from lproxy.config import Dns as Config
from lproxy.target import join_host_port, split_host_port

from .system import System

Server = tuple[str, int]

#: what answer codes are called, and the errors of twisted.names that they are
CODES: dict[int, tuple[str, type[DomainError]]] = {
    dns.EFORMAT: ("FORMERR", DNSFormatError),
    dns.ESERVER: ("SERVFAIL", DNSServerError),
    dns.ENAME: ("NXDOMAIN", DNSNameError),
    dns.ENOTIMP: ("NOTIMP", DNSNotImplementedError),
    dns.EREFUSED: ("REFUSED", DNSQueryRefusedError),
}

#: how often each server is tried that does not answer
PASSES = 2
#: queries under way at once, each with a socket; further ones wait in line
MOST = 256


class Resolver:
    """
    As much of C{IResolver} as L{lproxy.discover.lookup} needs.

    Servers are asked in their order. One that answers with an error of its own is not asked again for this query.

    @param reactor: UDP, TCP and time
    @param servers: whom to ask; called for each query
    @param timeout: seconds, for one try at one server
    """

    def __init__(self, reactor: Any, servers: Callable[[], Sequence[Server]], timeout: float) -> None:
        self._reactor = reactor
        self._servers = servers
        self._timeout = timeout
        self._slots = DeferredSemaphore(MOST)

    @classmethod
    def configured(cls, config: Config, reactor: IReactorTime, system: System) -> Resolver:
        """The resolvers of C{config}, else the machine's."""
        fixed = tuple(split_host_port(text) for text in config.servers)
        return cls(reactor, (lambda: fixed) if fixed else system.servers, config.timeout)

    def lookupAddress(self, name: str) -> Deferred[Any]:
        """The answer, authority and additional sections for the A records of C{name}."""
        return self._slots.run(self._ask, name, dns.A)

    def lookupIPV6Address(self, name: str) -> Deferred[Any]:
        """As L{lookupAddress}, for AAAA."""
        return self._slots.run(self._ask, name, dns.AAAA)

    def _ask(self, name: str, kind: int) -> Deferred[Any]:
        return Deferred.fromCoroutine(self._ask_all(dns.Query(name.encode("ascii"), kind, dns.IN)))

    async def _ask_all(self, query: dns.Query) -> tuple[Any, Any, Any]:
        servers = list(self._servers())
        error: Exception = OSError("there is no resolver to ask")
        for _ in range(PASSES):
            for server in tuple(servers):
                where = join_host_port(*server)
                try:
                    message = await self._exchange(_udp, query, server)
                    if message.trunc:
                        message = await self._exchange(_tcp, query, server)
                except TimedOut:
                    error = TimeoutError(f"no answer from {where} within {self._timeout:g} s")
                except (OSError, ConnectError, ConnectionLost) as e:
                    error = e if isinstance(e, OSError) else OSError(f"{where}: {e}")
                else:
                    if message.rCode == dns.OK:
                        return message.answers, message.authority, message.additional
                    code, kind = CODES.get(message.rCode, (f"code {message.rCode}", DNSUnknownError))
                    error = kind(f"{code} from {where}")
                    if message.rCode == dns.ENAME:
                        raise error
                    servers.remove(server)
        raise error

    def _exchange(self, how: Callable[..., Any], query: dns.Query, server: Server) -> Deferred[dns.Message]:
        question = dns.Message(secrets.randbelow(0x10000), recDes=1)
        question.queries = [query]
        d: Deferred[dns.Message] = Deferred.fromCoroutine(how(self._reactor, question, server))
        return d.addTimeout(self._timeout, self._reactor)


async def _udp(reactor: Any, question: dns.Message, server: Server) -> dns.Message:
    protocol = Datagram(question)
    # a port of the kernel's choice, random, for each query: harder to answer in the server's stead
    port = reactor.listenUDP(0, protocol, interface="::" if isIPv6Address(server[0]) else "")
    try:
        # and the kernel lets nobody else answer, and tells if there is no server
        port.connect(*server)
        port.write(question.toStr())
        return await protocol.answer
    finally:
        protocol.answer.addErrback(lambda failure: None)  # that the port is stopped is no news now
        port.stopListening()


async def _tcp(reactor: Any, question: dns.Message, server: Server) -> dns.Message:
    endpoint = TCP4ClientEndpoint(reactor, *server)  # takes an IPv6 address as well
    protocol = Segments(question)
    factory = Factory.forProtocol(lambda: protocol)
    factory.noisy = False
    await endpoint.connect(factory)
    try:
        return await protocol.answer
    finally:
        port: Any = protocol.transport
        port.abortConnection()


def answer_in(data: bytes, question: dns.Message) -> dns.Message | None:
    """The message in C{data}, if it answers C{question} and can be read."""
    message = dns.Message()
    try:
        message.fromStr(data)
    # whatever a stranger's bytes do to the decoder
    except Exception:
        return None
    if not (message.answer and message.id == question.id and len(message.queries) == 1):
        return None
    asked, told = question.queries[0], message.queries[0]
    same = (asked.type, asked.cls, asked.name.name.lower()) == (told.type, told.cls, told.name.name.lower())
    return message if same else None


class Datagram(DatagramProtocol):
    """One question by UDP. What does not answer it is not heard."""

    noisy = False

    def __init__(self, question: dns.Message) -> None:
        self._question = question
        self.answer: Deferred[dns.Message] = Deferred()

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """The answer, perhaps."""
        message = answer_in(datagram, self._question)
        if message is not None and not self.answer.called:
            self.answer.callback(message)

    def connectionRefused(self) -> None:
        """Nobody there."""
        if not self.answer.called:
            self.answer.errback(Failure(ConnectionRefusedError()))

    def stopProtocol(self) -> None:
        """Nobody there, as epoll tells it: an error is the end of a socket."""
        self.connectionRefused()


class Segments(Int16StringReceiver):
    """One question by TCP."""

    def __init__(self, question: dns.Message) -> None:
        self._question = question
        self.answer: Deferred[dns.Message] = Deferred()

    def connectionMade(self) -> None:
        """Ask."""
        self.sendString(self._question.toStr())

    def stringReceived(self, string: bytes) -> None:
        """The answer; a server that sends anything else is no use."""
        if self.answer.called:
            return
        message = answer_in(string, self._question)
        if message is None:
            self.answer.errback(Failure(ConnectionLost("no answer to the question")))
        else:
            self.answer.callback(message)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Gone before it answered."""
        if not self.answer.called:
            self.answer.errback(Failure(ConnectionLost("closed without an answer")))
