# -*- test-case-name: tests.app.workers.test_sibling -*-
"""
Workers ask each other what there is to show, over a UNIX socket of an abstract name: a line with the names of what is
wanted, and the answer as JSON, which ends the connection. A line C{tap} and filters, as JSON, is answered with a line
of JSON for each thing that ends, for as long as there is a connection.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

from lproxy.admin.tapping import Reader
from lproxy.protocols.taps import Row, Taps
from lproxy.supervise.channel import same_user

#: seconds for an answer: whoever takes longer is said to hang
PATIENCE = 1.0

#: makes what is shown: by its name
Parts = dict[str, Callable[[], Any]]


class Unanswered(Exception):
    """A sibling does not answer, or not with what was asked for."""


class Answering(LineOnlyReceiver):
    """One question."""

    delimiter = b"\n"

    def __init__(self, parts: Parts, taps: Taps, clock: IReactorTime) -> None:
        self._parts = parts
        self._taps = taps
        self._clock = clock
        self._reader: Reader | None = None

    def connectionMade(self) -> None:
        """Nobody else's user may ask."""
        transport: Any = self.transport
        if not same_user(transport.socket):
            transport.abortConnection()

    def lineReceived(self, line: bytes) -> None:
        """Answer it."""
        transport: Any = self.transport
        what, _, wanted = line.partition(b" ")
        if what == b"tap" and self._reader is None:
            self._reader = Reader(transport, json.loads(wanted), self._clock)
            self._taps.add(self._reader)
            return
        told = {name: self._parts[name]() for name in line.decode().split() if name in self._parts}
        transport.write(json.dumps(told, default=str).encode())
        transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Whoever has asked is gone."""
        if self._reader is not None:
            self._taps.remove(self._reader)


class Answers(Factory):
    """Answers whoever asks."""

    noisy = False

    def __init__(self, parts: Parts, taps: Taps, clock: IReactorTime) -> None:
        self._parts = parts
        self._taps = taps
        self._clock = clock

    def buildProtocol(self, addr: Any) -> Protocol:
        """For one question."""
        return Answering(self._parts, self._taps, self._clock)


class Asking(Protocol):
    """One question, from the other side."""

    def __init__(self, wanted: bytes) -> None:
        self._wanted = wanted
        self._heard: list[bytes] = []
        self.answer: Deferred[dict[str, Any]] = Deferred(self._cancelled)

    def connectionMade(self) -> None:
        """Ask, unless it is somebody else's."""
        transport: Any = self.transport
        if same_user(transport.socket):
            transport.write(self._wanted + b"\n")
        else:
            transport.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        """A part of the answer."""
        self._heard.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """That was it."""
        if self.answer.called:
            return
        try:
            told = json.loads(b"".join(self._heard))
            if not isinstance(told, dict):
                raise ValueError(f"no answer: {told!r:.100}")
        except ValueError as e:
            self.answer.errback(Unanswered(str(e)))
        else:
            self.answer.callback(told)

    def _cancelled(self, answer: Deferred[Any]) -> None:
        transport: Any = self.transport
        transport.abortConnection()


class Hearing(LineOnlyReceiver):
    """
    Somebody who tells what ends.

    @ivar over: fires once it does no more; cancelled, that is not wanted any longer
    """

    delimiter = b"\n"
    #: bytes of a line: of a request's head, in JSON, at its largest
    MAX_LENGTH = 1 << 20

    def __init__(self, question: bytes, told: Callable[[Row], None]) -> None:
        self._question = question
        self._told = told
        self.over: Deferred[None] = Deferred(self._cancelled)

    def connectionMade(self) -> None:
        """Ask."""
        transport: Any = self.transport
        transport.write(self._question + b"\n")

    def lineReceived(self, line: bytes) -> None:
        """Something is over."""
        self._told(json.loads(line))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """That was it."""
        if not self.over.called:
            self.over.callback(None)

    def _cancelled(self, over: Deferred[Any]) -> None:
        transport: Any = self.transport
        transport.abortConnection()


async def hear(name: str, question: str, told: Callable[[Row], None], reactor: Any) -> None:
    """
    Have C{told} called with what ends at a sibling, until it tells no more.

    @param name: where it answers
    @param question: C{tap} and the filters
    @raise Exception: it does not; whatever that raises
    """
    endpoint = UNIXClientEndpoint(reactor, f"\0{name}", timeout=PATIENCE)
    factory = Factory.forProtocol(lambda: Hearing(question.encode(), told))
    factory.noisy = False
    hearing: Any = await endpoint.connect(factory)
    await hearing.over


async def ask(name: str, wanted: tuple[str, ...], reactor: Any) -> dict[str, Any]:
    """
    What a sibling has of C{wanted}.

    @param name: where it answers
    @raise Exception: it does not, within L{PATIENCE}; whatever that raises
    """
    endpoint = UNIXClientEndpoint(reactor, f"\0{name}", timeout=PATIENCE)
    factory = Factory.forProtocol(lambda: Asking(" ".join(wanted).encode()))
    factory.noisy = False
    asking: Any = await endpoint.connect(factory)
    told: dict[str, Any] = await asking.answer.addTimeout(PATIENCE, reactor)
    return told
