# -*- test-case-name: tests.app.workers.test_worker -*-
"""
A worker's side of what it has to do with its supervisor: it is given its configuration and its sockets, shows that it
lives, and does what it is told.

What it asks for while it starts, and sockets, it waits for: the supervisor answers at once.

Over 300 lines: one conversation, both ways.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from lproxy.app.log import log
from lproxy.app.reload import Outcome
from lproxy.app.sockets import CannotListen, Wanted, bind_now, key_of
from lproxy.app.workers.portion import Portion
from lproxy.configfile.address import any_socket_of
from lproxy.supervise.channel import Channel, Gone, Message
from lproxy.transport.listen import Bound, inherited

#: seconds for the supervisor to answer, and between two signs of life
PATIENCE, BEAT = 10.0, 0.5
#: seconds besides drain and delay that an end may take
LAST = 5.0


class NoSupervisor(Exception):
    """It does not answer."""


class Proxy(Protocol):
    """Whoever does what the supervisor says."""

    def end(self) -> None:
        """Drain; told again, end at once."""

    def shutdown(self) -> None:
        """Drain, if it does not yet."""

    def give(self) -> None:
        """Another process accepts from now on: drain, and leave the sockets to it."""

    def reopen(self) -> None:
        """Open the access log again, and read certificates anew."""

    def set_log_level(self, name: str) -> None:
        """Raises ValueError for a level that there is not."""

    def reload_text(self, text: bytes) -> Deferred[Outcome]:
        """Serve by a configuration: what came of it."""

    def refused(self) -> None:
        """The configuration's file cannot be read."""

    def exposed(self, owner: str, note: str, key: str) -> None:
        """Another worker has opened a port in the name of C{owner}."""


class Worker:
    """
    A worker's end of the channel; a L{lproxy.app.sockets.Binder}.

    @ivar portion: which worker this is
    @ivar ledgers: descriptors of what each worker has counted, by index
    """

    def __init__(self, channel: Channel, reactor: Any) -> None:
        self._channel = channel
        self._reactor = reactor
        self._number = 0
        self._waiting: dict[int, Deferred[dict[str, Any]]] = {}
        self._later: list[Message] = []
        self._proxy: Proxy | None = None
        self._timer: IDelayedCall | None = None
        self._reader: _Reader | None = None
        self._stopping = False
        values, fds = self._wait({"do": "hello"})
        self.portion = Portion(values["index"], values["workers"])
        self.ledgers = fds
        self.text = values["text"].encode("latin-1")
        self.name: str = values["name"]
        self.file: str | None = values["file"]
        self.level: str = values["level"]
        self.door: str = values["door"]
        self.supervisor: int = values["supervisor"]
        #: whether the latest reload went well, before there was this worker
        self.well: bool = values["well"]
        #: where other workers ask us
        self.answers_at = f"lproxy-{os.getpid()}-{secrets.token_hex(8)}"

    def __repr__(self) -> str:
        return f"<Worker {self.portion.index} of {self.portion.workers}>"

    # its life

    def attach(self, proxy: Proxy) -> None:
        """The reactor is about to run: do what the supervisor says from now on, by way of C{proxy}."""
        self._proxy = proxy
        self._reader = _Reader(self._channel, self._readable, self._gone)
        self._reactor.addReader(self._reader)
        self._beat()
        for message in self._taken():
            self._heard(message)

    def serving(self, hung: float, ending: float) -> None:
        """
        We do, or by another configuration than so far.

        @param hung: seconds of silence after which somebody else is to
        @param ending: seconds that draining may take
        """
        self._channel.send({"do": "serving", "hung": hung, "ending": ending + LAST, "at": self.answers_at})

    def stopping(self, within: float) -> None:
        """We end, within so many seconds."""
        self._stopping = True
        self._channel.send({"do": "stopping", "within": within + LAST})

    def held(self, text: str) -> None:
        """Somebody holds up this process. May be called from another thread."""
        self._channel.send({"do": "held", "text": text})

    def over(self) -> None:
        """No more of it; harmless to be told twice."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        reader, self._reader = self._reader, None
        if reader is not None:
            self._reactor.removeReader(reader)
        self._channel.close()

    def _beat(self) -> None:
        self._timer = self._reactor.callLater(BEAT, self._beat)
        self._channel.send({"do": "beat"})

    # questions

    def ask(self, values: dict[str, Any]) -> Deferred[dict[str, Any]]:
        """Ask the supervisor; the answer comes in its time."""
        self._number += 1
        number = self._number
        answer: Deferred[dict[str, Any]] = Deferred(lambda _: self._forget(number))
        self._waiting[number] = answer
        self._channel.send({**values, "ask": number})
        return answer

    def _forget(self, number: int) -> None:
        self._waiting.pop(number, None)

    def tell(self, values: dict[str, Any]) -> None:
        """Tell the supervisor."""
        self._channel.send(values)

    def _wait(self, values: dict[str, Any], fds: Sequence[int] = ()) -> Message:
        """Ask, and wait; whatever else is said meanwhile is heard later. Raises L{NoSupervisor}."""
        self._number += 1
        number = self._number
        self._channel.send({**values, "ask": number}, fds)
        found: list[Message] = []
        try:
            while not found:
                if not self._channel.wait(PATIENCE):
                    raise NoSupervisor(f"the supervisor does not answer within {PATIENCE:g} s")
                for message in self._channel.receive():
                    (found if message.values.get("answer") == number else self._later).append(message)
        except Gone:
            if not found:
                raise NoSupervisor("the supervisor is gone") from None
        if self._later and self._reader is not None:
            self._reactor.callLater(0, self._catch_up)
        return found[0]

    # Binder

    def bind(self, wanted: Wanted, shared: bool = False) -> tuple[Bound, ...]:
        """Raises L{CannotListen}."""
        try:
            return self._bind(wanted, shared)
        except NoSupervisor as e:
            raise CannotListen(f"{wanted.name}: cannot listen on {wanted.address}: {e}") from e

    def _bind(self, wanted: Wanted, shared: bool) -> tuple[Bound, ...]:
        key = key_of(wanted)
        place = any_socket_of(wanted.address)
        if place is None:
            # what kind of socket that is the endpoint knows
            answer, fds = self._wait({"do": "have", "place": key})
            if not answer["found"]:
                mine = bind_now(wanted.name, wanted.address, self._reactor)
                answer, fds = self._wait({"do": "give", "place": key}, [mine.sock.fileno()])
                # the supervisor's now, as the file of a UNIX socket is, which releasing it would remove
                mine.sock.close()
        else:
            more = {"owner": wanted.owner, "note": wanted.note, "shared": shared}
            answer, fds = self._wait({"do": "bind", "place": key, "host": str(place.ip), "port": place.port, **more})
        if "error" in answer:
            why = f"{wanted.name}: cannot listen on {wanted.address}: {answer['error']}"
            raise CannotListen(why, answer.get("instead"))
        key = answer["place"]
        bound = [inherited(fd) for fd in fds]
        return tuple(Bound(one.sock, partial(self._release, one, key, last)) for last, one in enumerate(bound))

    def _release(self, bound: Bound, key: str, number: int) -> None:
        bound.release()
        if not self._stopping and number == 0:
            self._channel.send({"do": "leave", "place": key})

    # what it is told

    def _readable(self) -> None:
        self._channel.flush()
        try:
            for message in self._channel.receive():
                self._later.append(message)
        except Gone:
            self._catch_up()
            self._gone()
            return
        self._catch_up()

    def _catch_up(self) -> None:
        for message in self._taken():
            self._heard(message)

    def _taken(self) -> list[Message]:
        taken, self._later = self._later, []
        return taken

    def _gone(self) -> None:
        """Nobody will ever tell us to end."""
        if self._reader is None:
            return
        self._reactor.removeReader(self._reader)
        self._reader = None
        if not self._stopping:
            log.error("the supervisor is gone: so does this worker")
            if self._proxy is not None:
                self._proxy.shutdown()

    def _heard(self, message: Message) -> None:
        values, fds = message
        try:
            if "answer" in values:
                waiting = self._waiting.pop(values["answer"], None)
                if waiting is not None:
                    waiting.callback(values)
            else:
                self._do(values, fds)
        except Exception:
            log.failure("what the supervisor says cannot be done", Failure())
        for fd in fds:
            os.close(fd)

    def _do(self, values: dict[str, Any], fds: list[int]) -> None:
        proxy = self._proxy
        assert proxy is not None
        do: dict[str, Callable[[], object]] = {
            "shutdown": proxy.shutdown,
            "hurry": proxy.end,
            "given": proxy.give,
            "reopen": proxy.reopen,
            "level": lambda: proxy.set_log_level(values["level"]),
            "log": lambda: [os.dup2(fds[0], number) for number in (1, 2)],
            "reload": lambda: self._reload(proxy, values),
            "refused": proxy.refused,
            "exposed": lambda: proxy.exposed(values["owner"], values["note"], values["place"]),
        }
        do[values["do"]]()

    def _reload(self, proxy: Proxy, values: dict[str, Any]) -> None:
        proxy.reload_text(values["text"].encode("latin-1")).addCallback(self._reloaded, values["ask"])

    def _reloaded(self, outcome: Outcome, number: int) -> None:
        self._channel.send({"do": "answer", "number": number, "word": outcome.word, "text": outcome.text})


@implementer(IReadDescriptor)
class _Reader:
    """The reactor's view of a channel."""

    def __init__(self, channel: Channel, readable: Callable[[], None], gone: Callable[[], None]) -> None:
        self.fileno = channel.fileno
        self.doRead = readable
        self._gone = gone

    def logPrefix(self) -> str:
        """Who is at work, for log lines written meanwhile."""
        return "lproxy"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor goes down, or found it closed."""
        self._gone()
