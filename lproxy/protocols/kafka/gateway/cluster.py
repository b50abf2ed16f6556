# -*- test-case-name: tests.protocols.kafka.gateway.test_cluster -*-
"""
The brokers behind a gateway: where each really is, and where clients find it.

A broker that is heard of for the first time is given a port of its own, before the answer that names it goes on. One
that has moved keeps it: further connections go to the new address. One that no answer names any more gives it back
after a while. One broker's trouble is nobody else's: where there is no port for it, it alone is left out of answers.

Where another configuration goes on, it knows of the same brokers, and serves them on the same ports, from its start.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from lproxy.api import Accepted, Authority, Runtime, Session, join_host_port
from lproxy.errors import Failed
from lproxy.protocols.kafka.gateway.ports import NoPort, Ports
from lproxy.protocols.kafka.settings import PORTS, KafkaConfig
from lproxy.protocols.kafka.talk.rules import Rules
from lproxy.target import Member

#: seconds for which a port stays whose broker no answer names any more
GRACE = 600.0
#: brokers that a log line names
SHOWN = 5

#: what is remembered: where clients were sent, and who there is
REMEMBERED = "brokers"

#: why a broker has no port
TOO_MANY = "it is one more than the {most} that may have a port: kafka.ports, max_brokers"

#: a broker as an answer has it: node id, host, port
Named = tuple[int, str, int]


class Unmapped(ValueError):
    """Clients cannot be told where any broker is."""


@dataclass(slots=True)
class Broker:
    """
    One broker that has a port.

    @ivar address: where it says it is
    @ivar target: where connections to it go: the configured address, or what it says
    @ivar rules: what is made of requests to it
    @ivar port: ours
    @ivar gone: since when no answer has named it, in seconds of the clock; C{None} where the latest did
    """

    node: int
    address: tuple[str, int]
    target: Authority | Member
    rules: Rules
    port: int = 0
    gone: float | None = None


class Cluster:
    """
    All brokers of one gateway.

    @ivar brokers: those that have a port, by node id
    @ivar left_out: and those that have none, with the reason
    """

    def __init__(
        self,
        runtime: Runtime,
        config: KafkaConfig,
        name: str,
        rules: Callable[[str], Rules],
        session: Callable[[Broker, Accepted], Session],
        connected: Callable[[], set[str]],
    ) -> None:
        """
        @param session: makes the session of a connection to a broker
        @param connected: tells the node ids to which anybody is connected
        """
        self._runtime = runtime
        self._config = config
        self._name = name
        self._rules = rules
        self._session = session
        self._connected = connected
        self._ports = Ports(config, runtime.clock.seconds)
        # whose brokers they are: each is connected to as it is to the seeds
        self._service = runtime.service(runtime.fixed).name if runtime.fixed is not None else ""
        self.brokers: dict[int, Broker] = {}
        self.left_out: dict[int, str] = {}

    def start(self) -> bool:
        """
        Listen for the brokers that are configured, and those that were served before.

        @return: whether there were any
        """
        target, served = self._runtime.remembered.get(REMEMBERED, ("", ()))
        again = [] if target != self._runtime.listen.target else served
        for node, host, port, ours in again:
            address = self._config.brokers.get(node, (host, port))
            if self._target(address) is not None and len(self.brokers) < self._config.most_brokers:
                self._bind(node, address, partial(self._ports.bind_again, ours))
        self._runtime.told(self._heard)
        configured = [(node, *address) for node, address in self._config.brokers.items()]
        # those that cannot be where they were are somewhere else
        self.learn([*[(node, host, port) for node, host, port, _ in again], *configured], all_there_are=False)
        return bool(again)

    def forget(self) -> None:
        """It is over: what is made of requests to a broker knows us, and we know that."""
        self.brokers = {}

    def _heard(self, note: str) -> None:
        """Another worker serves a broker: so do we, on the same port."""
        node, host, port, ours = json.loads(note)
        address = self._config.brokers.get(node, (host, port))
        if node in self.brokers or self._target(address) is None or len(self.brokers) >= self._config.most_brokers:
            return
        if self._bind(node, address, partial(self._ports.bind_again, ours)):
            self._remember()

    def _remember(self) -> None:
        """For whoever comes after us; once somebody has, it is theirs to do."""
        if not self._runtime.superseded():
            served = [(node, *broker.address, broker.port) for node, broker in self.brokers.items()]
            self._runtime.remembered[REMEMBERED] = self._runtime.listen.target, served

    def learn(self, named: Iterable[Named], all_there_are: bool) -> None:
        """
        An answer names these: give ports to those that are new.

        @param all_there_are: who is not among them is gone
        """
        latest = {node: (host, port) for node, host, port in named}
        self.left_out = {node: why for node, why in self.left_out.items() if not all_there_are and node not in latest}
        new: list[int] = []
        for node, address in latest.items():
            if node < 0 or self._target(address) is None:
                self.left_out[node] = f"it says that it is at {address[0]!a}, port {address[1]}"
            elif node in self.brokers:
                self._seen(self.brokers[node], address)
            else:
                new.append(node)
        if all_there_are and latest:
            self._miss(latest)
        # in one order, so that the same brokers have the same ports next time; those first that can be nowhere else
        waiting, room = sorted(new), True
        for have_bound in (self._ports.bind_own, self._ports.bind_any):
            before, waiting = waiting, []
            for node in before:
                room = room and (len(self.brokers) < self._config.most_brokers or self._make_room(latest))
                if not room:
                    self.left_out[node] = TOO_MANY.format(most=self._config.most_brokers)
                elif not self._bind(node, latest[node], have_bound):
                    waiting.append(node)
        if self.left_out and not latest.keys().isdisjoint(self.left_out):
            self._complain()
        self._remember()

    def locate(self, node: int, ours: str) -> tuple[str, int] | None:
        """
        Where a client finds the broker C{node}, C{None} where it does not.

        @param ours: the address by which that client has found us
        @raise Unmapped: nobody can be found by it
        """
        told = self._config.advertised_host or ours
        if not told:
            raise Unmapped(f"broker {node} has no address that clients could be told")
        broker = self.brokers.get(node)
        if broker is None or node in self.left_out:
            return None
        return told, broker.port + self._config.advertised_offset

    def _seen(self, broker: Broker, address: tuple[str, int]) -> None:
        broker.gone = None
        if address == broker.address:
            return
        broker.address = address
        target = self._target(address)
        if target is not None and broker.node not in self._config.brokers:
            broker.target = target
            self._say(f"broker {broker.node} is at {target} now")

    def _miss(self, latest: dict[int, tuple[str, int]]) -> None:
        """Who is not among the C{latest} is gone, and after a while gives back its port."""
        now = self._runtime.clock.seconds()
        over: list[Broker] = []
        for node, broker in self.brokers.items():
            if node in latest or node in self._config.brokers:
                continue
            if broker.gone is None:
                broker.gone = now
            elif now - broker.gone >= GRACE:
                over.append(broker)
        connected = self._connected() if over else set()
        for broker in over:
            if str(broker.node) not in connected:
                self._give_back(broker)

    def _bind(
        self, node: int, address: tuple[str, int], have_bound: Callable[[int, Callable[[int], object]], int]
    ) -> bool:
        """Give C{node} a port by C{have_bound}. Whether it has one."""
        target = self._target(self._config.brokers.get(node, address))
        assert target is not None
        broker = Broker(node, address, target, self._rules(str(node)))
        make = partial(self._session, broker)
        where: list[tuple[str, int]] = []

        def bind(port: int) -> None:
            # other workers serve it there, too
            note = json.dumps([node, *address, port])
            where.append(self._runtime.expose(port, self._name, make, str(node), note))

        try:
            broker.port = have_bound(node, bind)
        except NoPort as e:
            self.left_out[node] = str(e)
            return False
        self.left_out.pop(node, None)
        self.brokers[node] = broker
        self._say(f"broker {node} at {target} is served on {join_host_port(*where[0])}")
        return True

    def _make_room(self, latest: dict[int, tuple[str, int]]) -> bool:
        """Take the port of the one that is gone for longest and that nobody is connected to. Whether there was one."""
        gone = [broker for broker in self.brokers.values() if broker.gone is not None and broker.node not in latest]
        connected = self._connected() if gone else set()
        free = [broker for broker in gone if str(broker.node) not in connected]
        if free:
            self._give_back(min(free, key=lambda broker: broker.gone or 0.0))
        return bool(free)

    def _give_back(self, broker: Broker) -> None:
        del self.brokers[broker.node]
        self._ports.used.discard(broker.port)
        self._runtime.conceal(broker.port)
        self._say(f"broker {broker.node} is gone, and its port {broker.port} is free again")

    def _target(self, address: tuple[str, int]) -> Authority | Member | None:
        """Where connections to C{address} go, C{None} where there is no such place."""
        host, port = address
        if not (host and host.isprintable() and " " not in host and 0 < port <= PORTS):
            return None
        return Member(self._service, host, port) if self._service else Authority(host, port)

    def _complain(self) -> None:
        names = [f"{node} ({why})" for node, why in sorted(self.left_out.items())]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        why = f"clients are not told of broker {', '.join(names[:SHOWN])}{more}"
        self._runtime.warn(
            "kafka-left-out",
            f"listener {self._runtime.listen.name}: {why}; "
            "all others are served, and it is tried again with every answer",
            Failed("kafka", self._service or f"listener {self._runtime.listen.name}", why, None),
        )

    def _say(self, text: str) -> None:
        self._runtime.say(f"listener {self._runtime.listen.name}: {text}")
