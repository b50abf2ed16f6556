# -*- test-case-name: tests.supervise.test_handover -*-
"""
How one lproxy takes the place of another that serves: it is given the very sockets, over a UNIX socket.

The old one listens at an abstract name, which nobody has to clear away, and answers nobody but its own user (and
root). It sends a greeting and its places; the new one starts, says C{ready}, is told C{yours}, and serves alone. Until
then both accept from the same queues, and a new one that fails has changed nothing.

Neither reactor nor loop: L{Watch} is whatever looks at descriptors.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple, Protocol

from lproxy.supervise.channel import Channel, Gone
from lproxy.supervise.how import how

#: seconds for the other side to answer, and for a new one to be ready
PATIENCE, STARTING = 10.0, 120.0


class CannotTakeOver(Exception):
    """There is nobody whose place could be taken, or it is not given; nothing has changed."""


class Watch(Protocol):
    """Looks at descriptors."""

    def watch(self, watched: Any, readable: Callable[[], None]) -> None:
        """Call C{readable} whenever there is something to read."""

    def unwatch(self, watched: Any) -> None:
        """Look at it no more."""


class Owner(Protocol):
    """Whose place may be taken."""

    def greeting(self) -> dict[str, Any]:
        """What the successor has to know besides the sockets."""

    def given(self) -> Iterable[tuple[dict[str, Any], list[int]]]:
        """Its places, as L{lproxy.supervise.places.Place.describe} has them, and their descriptors."""

    def taken(self, pid: int, pidfile: str) -> None:
        """The process C{pid} serves: accept no more, and end. It has this pidfile, if any."""

    def say(self, level: str, text: str) -> None:
        """Write a log line."""


class Door:
    """
    Where a successor asks.

    @ivar name: as it is to be asked for: an abstract socket is written with an @
    @ivar early: whether we have yet to take another's place, so that there is none of ours: two would serve if that one
        was given, and ours was not
    """

    waiting = False

    def __init__(self, owner: Owner, watch: Watch) -> None:
        self._owner = owner
        self._watch = watch
        self.name = f"@lproxy-{os.getpid()}-{secrets.token_hex(8)}"
        self._sock: socket.socket | None = None
        self._asking: Channel | None = None
        self._until = 0.0
        self.early = False

    def __repr__(self) -> str:
        return f"<Door {self.name}>"

    def open(self) -> None:
        """Listen; raises OSError."""
        sock = self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        sock.bind(_address(self.name))
        sock.listen(4)
        self._watch.watch(self, self._asked)

    def fileno(self) -> int:
        """Of the listening socket."""
        return self._sock.fileno() if self._sock is not None else -1

    def flush(self) -> None:
        """Nothing is written here."""

    @property
    def asking(self) -> int:
        """The process that is about to take our place; 0 where none is."""
        return self._asking.peer()[0] if self._asking is not None else 0

    def shut(self) -> None:
        """Nobody new may any more; whoever is about to take our place goes on."""
        if self._sock is not None:
            self._watch.unwatch(self)
            self._sock.close()
            self._sock = None

    def close(self) -> None:
        """Nobody may any more; harmless to be told twice."""
        self.shut()
        self._drop()

    def look(self, now: float) -> None:
        """Now and then, with the seconds of the monotonic clock: one that does not start in time is given up."""
        if self._asking is not None and now > self._until:
            self._owner.say("error", f"the new lproxy was not ready in {STARTING:g} s: it takes nothing over")
            self._asking.send({"do": "no"})
            self._drop()

    def _asked(self) -> None:
        assert self._sock is not None
        try:
            sock, _ = self._sock.accept()
        except OSError:
            return
        channel = Channel(sock)
        pid, uid = channel.peer()
        if uid not in (0, os.geteuid()):
            self._owner.say("error", f"process {pid} of user {uid} may not take our place")
            channel.send({"error": f"user {uid} may not"})
            channel.close()
            return
        if self.early:
            channel.send({"error": "it is about to take another's place itself"})
            channel.close()
            return
        if self._asking is not None:
            channel.send({"error": "another lproxy is about to"})
            channel.close()
            return
        self._owner.say("info", f"process {pid} is about to take our place")
        self._asking = channel
        self._until = time.monotonic() + STARTING
        places = list(self._owner.given())
        channel.send({**self._owner.greeting(), "places": len(places)})
        for place, fds in places:
            channel.send(place, fds)
        self._watch.watch(channel, self._heard)

    def _heard(self) -> None:
        channel = self._asking
        assert channel is not None
        channel.flush()
        try:
            for message in channel.receive():
                if message.values.get("do") == "ready":
                    pid, _ = channel.peer()
                    self._owner.say("info", f"process {pid} serves in our place")
                    channel.send({"do": "yours"})
                    self._drop()
                    self._owner.taken(int(message.values.get("pid", pid)), str(message.values.get("pidfile", "")))
                    return
        except Gone:
            self._owner.say("error", "the new lproxy has failed: it takes nothing over, and we serve on")
            self._drop()

    def _drop(self) -> None:
        channel, self._asking = self._asking, None
        if channel is not None:
            self._watch.unwatch(channel)
            channel.close()


class Given(NamedTuple):
    """A place that was given, and its sockets."""

    place: dict[str, Any]
    sockets: list[socket.socket]


class Claim:
    """
    The new one's side.

    @ivar greeting: what the old one says of itself
    @ivar given: its places; who takes one has it to close
    """

    def __init__(self, channel: Channel, greeting: dict[str, Any], given: list[Given]) -> None:
        self.channel = channel
        self.greeting = greeting
        self.given = given

    def ready(self, watch: Watch, pid: int, pidfile: str, done: Callable[[bool], None]) -> None:
        """
        We serve.

        @param pid: whom a manager of services is to watch from now on
        @param pidfile: where that is written from now on; empty: nowhere
        @param done: told whether all of it is ours alone; if not, we are one too many
        """
        watch.watch(self.channel, partial(self._heard, watch, done))
        self.channel.send({"do": "ready", "pid": pid, "pidfile": pidfile})

    def _heard(self, watch: Watch, done: Callable[[bool], None]) -> None:
        said: list[Any] = []
        try:
            said.extend(message.values.get("do") for message in self.channel.receive())
        except Gone:
            # it has ended without a word: there is nobody else
            said = said or ["yours"]
        if said:
            watch.unwatch(self.channel)
            self.channel.close()
            done(said == ["yours"])


def claim(name: str) -> Claim:
    """
    Ask whoever listens at C{name} for its sockets, and wait for them.

    @raise CannotTakeOver: it does not give them
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(PATIENCE)
        sock.connect(_address(name))
    except OSError as e:
        sock.close()
        raise CannotTakeOver(f"nobody hands over at {name}: {e}") from e
    channel = Channel(sock)
    until = time.monotonic() + PATIENCE
    greeting: dict[str, Any] | None = None
    given: list[Given] = []
    try:
        while greeting is None or len(given) < greeting["places"]:
            if not channel.wait(until - time.monotonic()) and time.monotonic() > until:
                raise CannotTakeOver(f"{name} does not hand over within {PATIENCE:g} s")
            for values, fds in channel.receive():
                if greeting is None:
                    greeting = values
                    if "error" in values:
                        raise CannotTakeOver(f"{name} does not hand over: {values['error']}")
                else:
                    given.append(Given(values, [socket.socket(fileno=fd) for fd in fds]))
    except (Gone, CannotTakeOver, KeyError, TypeError) as e:
        channel.close()
        for one in given:
            for taken in one.sockets:
                taken.close()
        raise e if isinstance(e, CannotTakeOver) else CannotTakeOver(f"{name} does not hand over") from e
    return Claim(channel, greeting, given)


def failed(pid: int, status: int) -> str:
    """A process that we have started to take our place has ended before it did."""
    return f"process {pid}, which was to take our place, {how(status)}: we serve on"


def _address(name: str) -> str:
    return f"\0{name[1:]}" if name.startswith("@") else name
