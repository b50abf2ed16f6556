# -*- test-case-name: tests.app.test_assembly -*-
"""
What assemblies have around them, in memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.python.failure import Failure

from lproxy.app import assembly as module
from lproxy.app.assembly import Assembly, assembled
from lproxy.app.openings import wanted
from lproxy.app.own import OwnAddresses
from lproxy.app.plugins import Found
from lproxy.app.sockets import Accepting, CannotListen, Place, Wanted, place_of
from lproxy.app.stacks import Stacks
from lproxy.app.surroundings import Surroundings
from lproxy.config import Config, Listen
from lproxy.config import Metrics as MetricsConfig
from lproxy.configfile.collector import at_once
from lproxy.metrics.registry import Metrics
from lproxy.protocols.tcp.plugin import TcpPlugin
from lproxy.testing import Peer, ScriptedReactor
from lproxy.testing.upstream import CLIENT, OURS, ScriptedConnector
from lproxy.transport.stream import Address
from tests.app.quiet import QuietHub
from tests.note import Note


class MemorySockets:
    """
    L{Sockets<lproxy.app.sockets.Sockets>} that nobody can connect to.

    @ivar taken: addresses that cannot be bound
    @ivar accepting: who accepts, by place
    """

    def __init__(self) -> None:
        self.taken: set[str] = set()
        self.accepting: dict[Place, Accepting] = {}
        self._ports: dict[Place, int] = {}

    def bind(self, wanted: Iterable[Wanted]) -> None:
        for one in list(wanted):
            if one.address in self.taken:
                raise CannotListen(f"{one.name}: cannot listen on {one.address}: Address already in use")
            self._ports.setdefault(place_of(one), 1024 + len(self._ports))

    def listen(self, place: Place, accepting: Accepting) -> None:
        self.accepting[place] = accepting

    def stop(self, place: Place) -> None:
        self._ports.pop(place, None)
        self.accepting.pop(place, None)

    def address(self, place: Place) -> Address | None:
        return ("127.0.0.1", self._ports[place]) if place in self._ports else None


class Scene:
    """
    A process in which assemblies live.

    @ivar note: a protocol besides tcp, whose sessions say again what they hear
    @ivar connector: opens all upstream connections
    @ivar crashes: what protocols raised
    """

    def __init__(self, case: Any, *more: Found) -> None:
        self.reactor = ScriptedReactor()
        self.note = Note()
        self.sockets = MemorySockets()
        self.crashes: list[tuple[str, type]] = []
        self.warnings: list[str] = []
        self.metrics = Metrics(MetricsConfig(), self.reactor, self.crashed)
        self.connector = ScriptedConnector(self.reactor)
        self.connectors = 0
        case.patch(module, "SocketConnector", self._connector)
        plugins = [Found(f"{one.name}.py", one.name, "1", one) for one in (TcpPlugin(), self.note)]
        hub: Any = QuietHub(self.reactor)
        sockets: Any = self.sockets
        self.around = Surroundings(
            self.reactor,
            hub,
            [*plugins, *more],
            self.metrics,
            sockets,
            Stacks(self.reactor, self.metrics, self.crashed),
            OwnAddresses(),
            lambda kind, text, parts=None, /: self.warnings.append(text),
            self.crashed,
        )

    def _connector(self, *args: Any) -> Any:
        self.connectors += 1
        return self.connector if self.connectors == 1 else ScriptedConnector(self.reactor)

    def crashed(self, protocol: str, failure: Failure, where: str = "") -> None:
        self.metrics.plugin_error(protocol)
        self.crashes.append((protocol, failure.type))

    def made(self, config: Config) -> Assembly:
        """One that opens nothing yet."""
        return at_once(assembled(config, self.around))

    def assembly(self, *listeners: Listen, **more: Any) -> Assembly:
        """One that is started."""
        assembly = self.made(Config(listen=listeners, **more))
        assembly.bind()
        assembly.start()
        return assembly

    def client(self, listen: Listen, data: bytes = b"") -> Peer:
        """A connection, and what it says first."""
        peer = Peer()
        self.sockets.accepting[place_of(wanted(listen))].accepted(self.reactor.stream(peer, CLIENT, OURS))
        peer.say(data)
        self.reactor.settle()
        return peer

    def say(self, peer: Peer, data: bytes) -> bytes:
        """What C{peer} has heard after it said C{data}."""
        peer.say(data)
        self.reactor.settle()
        return peer.heard

    def text(self) -> str:
        """The metrics."""
        return b"".join(self.metrics.text()).decode()

    def value(self, name: str) -> float | None:
        """A metric's value; C{None} where it is not shown. Shown more than once is an error."""
        values = [line.rpartition(" ")[2] for line in self.text().splitlines() if line.rpartition(" ")[0] == name]
        assert len(values) <= 1, f"{name} is shown {len(values)} times"
        return float(values[0]) if values else None
