# -*- test-case-name: tests.supervise.test_spec -*-
"""
What a supervisor is told by the process whose place it takes, in a file that has no name.
"""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass, field
from typing import Any

from lproxy.supervise.places import Places

#: the variable by which a worker knows its channel
WORKER = "LPROXY_WORKER"


@dataclass
class Spec:
    """
    A supervisor's task.

    @ivar command: starts a worker
    @ivar successor: starts another lproxy in the place of this one
    @ivar environ: of both
    @ivar workers: how many
    @ivar file: where the configuration stands; C{None}: it cannot be read anew
    @ivar text: the configuration, byte by byte a character of Latin-1
    @ivar changed: whether it was to be read anew since
    @ivar name: what messages call it
    @ivar json: the way in which the log is lines of JSON, L{lproxy.supervise.log.OWN} or C{TWIST}; empty: it is text
    @ivar log: the file to log to; empty: standard output
    @ivar syslog: what syslog is to call us; C{None}: the log does not go there
    @ivar level: of the log, where it was said
    @ivar pidfile: to be removed at the end; empty: there is none
    @ivar status: a descriptor to say 0 to, or what is wrong, as twistd expects of its daemon; -1: none
    @ivar claim: the connection to whom the sockets are taken over from; -1: none
    @ivar notify: systemd's socket; empty: nobody is told
    @ivar every: seconds between two signs of life to systemd; C{None}: none are wanted
    @ivar hung: seconds without a sign of life after which a worker is replaced
    @ivar ending: seconds that a worker may take to end
    """

    command: list[str]
    successor: list[str]
    environ: dict[str, str]
    workers: int
    file: str | None
    text: str
    name: str
    json: str = ""
    log: str = ""
    syslog: str | None = None
    level: str = ""
    pidfile: str = ""
    status: int = -1
    claim: int = -1
    notify: str = ""
    every: float | None = None
    hung: float = 10.0
    ending: float = 30.0
    changed: bool = False
    places: list[dict[str, Any]] = field(default_factory=list)

    def take(self, places: Places) -> None:
        """Have C{places}, for another program in this process."""
        for place in places:
            fds = [sock.fileno() for sock in place.sockets]
            self.places.append({**place.describe(), "fds": fds})

    def fds(self) -> list[int]:
        """The descriptors that are named in it."""
        sockets = [fd for place in self.places for fd in place["fds"]]
        return [*sockets, *(fd for fd in (self.status, self.claim) if fd >= 0)]

    def write(self) -> int:
        """A descriptor to read it from: it, and what it names, survive an exec."""
        fd = os.memfd_create("lproxy", 0)
        os.write(fd, json.dumps(asdict(self)).encode())
        os.lseek(fd, 0, os.SEEK_SET)
        for one in self.fds():
            os.set_inheritable(one, True)
        return fd


def read(fd: int) -> tuple[Spec, Places]:
    """What L{Spec.write} wrote: it, and the sockets that it has."""
    with open(fd, "rb") as file:
        spec = Spec(**json.loads(file.read()))
    for one in spec.fds():
        os.set_inheritable(one, False)
    places = Places(spec.workers)
    for place in spec.places:
        sockets = [socket.socket(fileno=fd) for fd in place["fds"]]
        places.adopt(place["place"], sockets, place["shared"], place["owner"], place["note"])
    return spec, places
