# -*- test-case-name: tests.discover.test_resolver -*-
"""
Query DNS servers over UDP and, where an answer does not fit, over TCP.

twisted.names has the wire format and the errors; its own client cannot be cancelled (sockets and timers are leaked),
waits out its timeout when a server refuses, reads resolv.conf by a timer that never ends and leaves TCP connections
open. A query here is one coroutine that owns its socket and its timer.
"""

from __future__ import annotations

import errno
import secrets
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectError, ConnectionLost, ConnectionRefusedError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Factory, connectionDone
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
from lproxy.discover.system import System
from lproxy.target import join_host_port, split_host_port
from lproxy.transport.datagram import Datagrams

Server = tuple[str, int]

#: names of answer codes, and the errors of twisted.names for them
CODES: dict[int, tuple[str, type[DomainError]]] = {
    dns.EFORMAT: ("FORMERR", DNSFormatError),
    dns.ESERVER: ("SERVFAIL", DNSServerError),
    dns.ENAME: ("NXDOMAIN", DNSNameError),
    dns.ENOTIMP: ("NOTIMP", DNSNotImplementedError),
    dns.EREFUSED: ("REFUSED", DNSQueryRefusedError),
}

#: how many times a server that does not answer is queried
PASSES = 2
#: concurrent queries, each with a socket; further ones wait in a FIFO queue
MOST = 256


class Resolver:
    """
    As much of C{IResolver} as L{lproxy.discover.lookup} needs.

    Servers are queried in their order. One that answers with an error is not queried again for the same question.

    @param reactor: UDP, TCP and time
    @param servers: the servers to query; called for each query
    @param timeout: seconds, for one query to one server
    @param udp: makes a socket connected to a server, with whoever receives from it
    """

    def __init__(
        self, reactor: Any, servers: Callable[[], Sequence[Server]], timeout: float, udp: Callable[..., Any] = Datagrams
    ) -> None:
        self.reactor = reactor
        self.udp = udp
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
        d: Deferred[dns.Message] = Deferred.fromCoroutine(how(self, question, server))
        return d.addTimeout(self._timeout, self.reactor)


async def _udp(resolver: Resolver, question: dns.Message, server: Server) -> dns.Message:
    asked = Datagram(question)
    # a random port for each query, which makes answers harder to forge
    sock = resolver.udp(resolver.reactor, server, asked)
    try:
        sock.send(question.toStr())
        return await asked.answer
    finally:
        sock.close()


async def _tcp(resolver: Resolver, question: dns.Message, server: Server) -> dns.Message:
    endpoint = TCP4ClientEndpoint(resolver.reactor, *server)  # takes an IPv6 address as well
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
    # bytes of a peer may raise anything in the decoder
    except Exception:
        return None
    if not (message.answer and message.id == question.id and len(message.queries) == 1):
        return None
    asked, told = question.queries[0], message.queries[0]
    same = (asked.type, asked.cls, asked.name.name.lower()) == (told.type, told.cls, told.name.name.lower())
    return message if same else None


class Datagram:
    """One question by UDP. Datagrams that do not answer it are ignored."""

    def __init__(self, question: dns.Message) -> None:
        self._question = question
        self.answer: Deferred[dns.Message] = Deferred()

    def received(self, data: bytes) -> None:
        """A datagram, perhaps the answer."""
        message = answer_in(data, self._question)
        if message is not None and not self.answer.called:
            self.answer.callback(message)

    def failed(self, error: OSError) -> None:
        """The server's port is closed, or there is no way to it any more."""
        if not self.answer.called:
            refused = error.errno == errno.ECONNREFUSED
            self.answer.errback(Failure(ConnectionRefusedError() if refused else error))


class Segments(Int16StringReceiver):
    """One question by TCP."""

    def __init__(self, question: dns.Message) -> None:
        self._question = question
        self.answer: Deferred[dns.Message] = Deferred()

    def connectionMade(self) -> None:
        """Send the question."""
        self.sendString(self._question.toStr())

    def stringReceived(self, string: bytes) -> None:
        """The answer; anything else is an error."""
        if self.answer.called:
            return
        message = answer_in(string, self._question)
        if message is None:
            self.answer.errback(Failure(ConnectionLost("no answer to the question")))
        else:
            self.answer.callback(message)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The server closed before it answered."""
        if not self.answer.called:
            self.answer.errback(Failure(ConnectionLost("closed without an answer")))
