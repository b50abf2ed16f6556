# -*- test-case-name: tests.app.test_assembly -*-
"""
Tests for L{lproxy.app.assembly}: what is made of a configuration, how it begins, and how it goes.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from weakref import ref

from twisted.internet.defer import Deferred
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from lproxy.api import CannotExpose, Demands, IProtocolPlugin, NoMatch, Runtime, SessionFactory, TcpFactory, Verdict
from lproxy.app.assembly import LAST, Assembly, CannotStart
from lproxy.app.plugins import Found
from lproxy.config import DETECT, AccessLog, Config, Listen, Timeouts
from lproxy.stack.shared import Shared
from lproxy.testing import Peer
from tests.app.scene import Scene
from tests.note import NoteSession

NOTE = Listen(name="a", address="127.0.0.1:1", protocol="note")


@implementer(IProtocolPlugin)
class Forwarder:
    """A third party's, which forwards bytes, or does what the test says."""

    name = "third"
    version = "1"

    def __init__(self, make: Callable[[Runtime, Any], Any] | None = None) -> None:
        self.factory = make or (lambda runtime, config: TcpFactory(runtime, "third"))
        self.detector: Any = self.detect

    def detect(self, prefix: bytes) -> Verdict:
        return NoMatch()

    def configure(self, table: dict[str, Any]) -> None:
        return None


def found(plugin: Any) -> Found:
    return Found(f"{plugin.name}.py", plugin.name, plugin.version, plugin)


def shared_by(stack: Any) -> Any:
    """What C{stack} stands on that others stand on, too."""
    while not isinstance(stack, Shared):
        stack = stack.inner
    return stack.inner


class MadeTests(SynchronousTestCase):
    """What is made, before anything is opened."""

    def make(self, *listeners: Listen, plugin: Any = None, **more: Any) -> Assembly:
        self.scene = Scene(self, found(plugin or Forwarder()))
        return self.scene.made(Config(listen=listeners, **more))

    def factories(self, assembly: Assembly, listen: Listen) -> dict[str, Any]:
        factories: dict[str, SessionFactory] = assembly.edges[listen].factories
        return factories

    def test_shared(self) -> None:
        """Listeners of one direction share their stacks and connectors, protocol by protocol; directions share none."""
        listeners = [
            Listen(name="a", address="127.0.0.1:1", detect=("third",)),
            Listen(name="b", address="127.0.0.1:2", detect=("third",), target="10.0.0.1:80"),
            Listen(name="c", address="127.0.0.1:3", detect=("third",), direction="inbound"),
        ]
        assembly = self.make(*listeners)
        a, b, c = (self.factories(assembly, listen) for listen in listeners)
        for name in ("third", "tcp"):
            stacks = [edge[name].acquire for edge in (a, b, c)]
            self.assertIs(stacks[0], stacks[1])
            self.assertIsNot(stacks[0], stacks[2])
        connectors = [edge["third"].runtime.connector for edge in (a, b, c)]
        self.assertIs(connectors[0], connectors[1])
        self.assertIsNot(connectors[0], connectors[2])
        self.assertIs(connectors[0], a["tcp"].runtime.connector)
        self.assertIsNot(a["third"].acquire, a["tcp"].acquire)

    def test_upper(self) -> None:
        """Two assemblies have each their own clocks and sessions, and share queues and services."""
        listen = Listen(name="a", address="127.0.0.1:1", protocol="tcp")
        first = self.make(listen)
        second = self.scene.made(first.config)
        one, other = (self.factories(assembly, listen)["tcp"] for assembly in (first, second))
        self.assertIsNot(one.acquire, other.acquire)
        lower = [shared_by(factory.acquire) for factory in (one, other)]
        self.assertIs(lower[0], lower[1])
        self.assertIsNot(first.sessions, second.sessions)

    def test_tunnels(self) -> None:
        """What turns into bytes goes by the stack of plain TCP."""
        listen = Listen(name="a", address="127.0.0.1:1", detect=("third",))
        factories = self.factories(self.make(listen), listen)
        self.assertIs(factories["tcp"].acquire, factories["third"].runtime.tunnels())

    def test_clocks(self) -> None:
        """Each direction has its own."""
        listeners = [
            Listen(name="a", address="127.0.0.1:1", protocol="tcp"),
            Listen(name="b", address="127.0.0.1:2", protocol="tcp", direction="inbound"),
        ]
        outbound, inbound = Timeouts(connect=1.5), Timeouts(connect=2.5)
        assembly = self.make(*listeners, outbound=outbound, inbound=inbound)
        runtimes = [self.factories(assembly, listen)["tcp"].runtime for listen in listeners]
        self.assertEqual([outbound, inbound], [runtime.timeouts for runtime in runtimes])

    def test_detection(self) -> None:
        """A detecting listener has its protocols in their order and TCP last; a configured one has its own alone."""
        detecting = Listen(name="a", address="127.0.0.1:1", detect=("third", "note"))
        configured = Listen(name="b", address="127.0.0.1:2", protocol="note")
        assembly = self.make(detecting, configured)
        self.assertEqual(["third", "note", "tcp"], list(assembly.edges[detecting].factories))
        self.assertEqual(["note"], list(assembly.edges[configured].factories))

    def test_default_detection(self) -> None:
        """Where nobody said what to detect, it is what there is of the usual."""
        listen = Listen(name="a", address="127.0.0.1:1")
        self.assertEqual(DETECT, listen.detect)
        assembly = self.make(listen)
        self.assertEqual(["tcp"], list(assembly.edges[listen].factories))

    def test_settings(self) -> None:
        """A plugin's factory is given what its configure made of the listener's table."""
        given: list[Any] = []

        def factory(runtime: Runtime, config: Any) -> Any:
            given.append((runtime.listen.name, config))
            return TcpFactory(runtime, "third")

        listen = Listen(name="a", address="127.0.0.1:1", protocol="third", plugins={"third": "mine", "http": "other"})
        self.make(listen, plugin=Forwarder(factory))
        self.assertEqual([("a", "mine")], given)

    def refusal(self, listen: Listen, plugin: Any = None) -> str:
        return str(self.assertRaises(CannotStart, self.make, listen, plugin=plugin))

    def test_broken_factory(self) -> None:
        """A factory that raises, even SystemExit, is an error that names listener, protocol and cause."""
        listen = Listen(name="a", address="127.0.0.1:1", protocol="third")
        for error in (OSError("no disk"), SystemExit("bye")):

            def factory(runtime: Any, config: Any, error: BaseException = error) -> Any:
                raise error

            self.assertEqual(
                f"a: protocol third cannot be set up: {type(error).__name__}: {error}",
                self.refusal(listen, Forwarder(factory)),
            )

    def test_no_factory(self) -> None:
        """A factory() that forgets to return one is told so."""
        self.assertEqual(
            "a: protocol third cannot be set up: TypeError: its plugin's factory() returns nothing",
            self.refusal(
                Listen(name="a", address="127.0.0.1:1", protocol="third"), Forwarder(lambda runtime, config: None)
            ),
        )

    def test_demanding(self) -> None:
        """A listener that the protocol's own configuration refuses is none, whoever has made it."""

        class Never(Demands):
            def refuse(self, listen: Listen) -> Iterable[str]:
                return [f"target: {listen.target} is not for me"]

        listen = Listen(name="a", address="127.0.0.1:1", protocol="third", plugins={"third": Never()})
        self.assertEqual(
            "a: protocol third cannot be set up: Refused: target: authority is not for me",
            self.refusal(listen, Forwarder(lambda runtime, config: TcpFactory(runtime, "third", None))),
        )

    def test_no_detector(self) -> None:
        """A protocol without a detector can only be configured; where it should be detected, the way out is told."""
        plugin = Forwarder(lambda runtime, config: TcpFactory(runtime, "third", None))
        plugin.detector = None
        said = self.refusal(Listen(name="a", address="127.0.0.1:1", detect=("third",)), plugin)
        self.assertEqual("a: protocol third cannot be detected; set protocol = 'third'", said)
        self.make(Listen(name="b", address="127.0.0.1:1", protocol="third"), plugin=plugin)

    def test_missing(self) -> None:
        """A protocol that there is not is named, with what is broken."""
        self.scene = Scene(self, Found("/x/mqtt.py", "mqtt", error="ImportError: no module y"))
        config = Config(listen=(Listen(name="a", address="127.0.0.1:1", protocol="mqtt"),))
        said = str(self.assertRaises(CannotStart, self.scene.made, config))
        self.assertEqual("a: there is no protocol mqtt; broken plugins: /x/mqtt.py: ImportError: no module y", said)

    def test_refused_leaves_nothing(self) -> None:
        """Of one that cannot be made nothing stays: no metric source, and nobody's service."""
        self.make()
        listeners = (NOTE, Listen(name="b", address="127.0.0.1:2", protocol="mqtt"))
        self.assertRaises(CannotStart, self.scene.made, Config(listen=listeners))
        made = ref(self.scene.note.factories.pop())
        gc.collect()
        self.assertIsNone(self.scene.value("note_heard_total"))
        self.assertIsNone(made(), "nobody holds what was made")

    def test_repr(self) -> None:
        """Shown as what it is."""
        self.assertEqual("<Assembly of 1 listeners, 0 sessions>", repr(self.make(NOTE)))


class LifeMixin(SynchronousTestCase):
    """A listener that speaks note, and what becomes of it."""

    def setUp(self) -> None:
        self.scene = Scene(self)
        self.note = self.scene.note

    def settle(self, seconds: float = 0.0) -> None:
        self.scene.reactor.settle(seconds)

    def end(self, session: NoteSession) -> None:
        """C{session} ends by itself."""
        session.stream.close()


class StartTests(LifeMixin):
    """From made to accepting."""

    def test_address_taken(self) -> None:
        """An address that cannot be listened on is named; nothing is started."""
        self.scene.sockets.taken.add("127.0.0.1:1")
        error = self.assertRaises(CannotStart, self.scene.assembly, NOTE)
        self.assertEqual("a: cannot listen on 127.0.0.1:1: Address already in use", str(error))
        self.assertEqual(["configure", "factory"], self.note.calls)

    def test_access_log(self) -> None:
        """So is an access log that cannot be written."""
        path = f"{self.mktemp()}/no/access.log"
        error = self.assertRaises(CannotStart, self.scene.assembly, NOTE, access_log=AccessLog(path=path))
        self.assertEqual(f"access_log.path: cannot write to {path}: No such file or directory", str(error))
        self.assertNotIn("start", self.note.calls)

    def test_broken_start(self) -> None:
        """A factory that cannot start keeps all from accepting; those that have started are stopped, it is not."""
        self.note.on["start"] = lambda: 1 / (len(self.note.factories) - self.note.calls.count("start"))
        second = Listen(name="b", address="127.0.0.1:2", protocol="note")
        assembly = self.scene.made(Config(listen=(NOTE, second)))
        assembly.bind()
        error = self.assertRaises(CannotStart, assembly.start)
        self.assertEqual("b: protocol note cannot start: ZeroDivisionError: division by zero", str(error))
        self.assertEqual({}, self.scene.sockets.accepting)
        assembly.close()
        assembly.close()
        stops = [call for call in self.note.asked if call[0] == "stop"]
        self.assertEqual([("stop", "a")], stops)
        self.assertIsNone(self.scene.value("note_heard_total"))

    def test_record(self) -> None:
        """A line of the access log is written while it is open, and nothing breaks when a session ends after that."""
        path = Path(self.mktemp())
        listen = Listen(name="a", address="127.0.0.1:1", protocol="tcp", target="10.0.0.9:9")
        assembly = self.scene.assembly(listen, access_log=AccessLog(path=str(path)))
        first, second = self.scene.client(listen), self.scene.client(listen)
        first.reset()
        self.settle()
        path.rename(path.with_suffix(".1"))
        assembly.reopen()
        assembly.close()
        assembly.reopen()
        self.assertEqual((1, 0), tuple(len(p.read_text().splitlines()) for p in (path.with_suffix(".1"), path)))
        second.reset()
        self.settle()
        self.assertEqual(("", []), (path.read_text(), self.scene.crashes))


class ExposeTests(LifeMixin):
    """Protocols may listen on further ports of a listener's address."""

    def made(self, accepted: Any) -> Any:
        return self.note.factories[-1].session(accepted)

    def expose(self, port: int) -> Any:
        runtime = self.note.factories[-1].runtime
        return runtime.expose(port, "note", self.made)

    def test_exposed(self) -> None:
        """What is accepted there is the protocol's, and a session of the assembly."""
        assembly = self.scene.assembly(NOTE)
        host, port = self.expose(7000)
        self.assertEqual("127.0.0.1", host)
        further = Listen(name="", address="127.0.0.1:7000")
        self.assertEqual(b"hello", self.scene.client(further, b"hello").heard)
        self.assertEqual((1, 2), (len(assembly.sessions), len(assembly.openings.places())))

    def test_told(self) -> None:
        """What another worker has exposed its protocol hears of, for that listener; what that raises costs nothing."""
        heard: list[str] = []
        assembly = self.scene.assembly(NOTE)
        runtime = self.note.factories[-1].runtime
        runtime.told(heard.append)
        assembly.exposed(f"{NOTE.name}: note: broker 1", "at 7")
        assembly.exposed(f"{NOTE.name}: other: broker 1", "at 8")
        assembly.exposed("other: note: broker 1", "at 9")
        self.assertEqual(["at 7"], heard)
        runtime.told(lambda note: 1 / 0)
        assembly.exposed(f"{NOTE.name}: note: broker 1", "at 7")
        self.assertEqual([("note", ZeroDivisionError)], self.scene.crashes)

    def test_said(self) -> None:
        """What a protocol says is one line of the log, whatever is in it."""
        self.note.on["factory"] = lambda: None
        self.scene.assembly(NOTE)
        lines: list[str] = []
        observer = lambda event: lines.append(formatEvent(event))  # noqa: E731
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.note.factories[-1].runtime.say("a broker is at h\n2026 [lproxy#critical] {forged}\0\x1b[2J")
        self.assertEqual(["a broker is at h?2026 [lproxy#critical] {forged}??[2J"], lines)

    def test_concealed(self) -> None:
        """It is given back; whoever is connected stays."""
        assembly = self.scene.assembly(NOTE)
        self.expose(7000)
        client = self.scene.client(Listen(name="", address="127.0.0.1:7000"), b"hello")
        self.note.factories[-1].runtime.conceal(7000)
        self.assertEqual((b"hello", "", 1), (client.heard, client.ended, len(assembly.openings.places())))
        self.expose(7000)

    def test_readiness(self) -> None:
        """A protocol says why it is not ready."""
        reasons: list[str | None] = [None, "a seed is asked"]
        self.note.on["factory"] = lambda: None
        assembly = self.scene.assembly(NOTE)
        self.note.factories[-1].runtime.not_ready(reasons.pop)
        self.assertEqual(["note: a seed is asked", None], [assembly.readiness.why_not() for _ in range(2)])

    def test_refused(self) -> None:
        """Not where it is taken, not before the listener is there, and not at the end."""
        self.note.on["factory"] = lambda: None
        assembly = self.scene.assembly(NOTE)
        self.scene.sockets.taken.add("127.0.0.1:7000")
        for port in (7000, 1):
            self.assertRaises(CannotExpose, self.expose, port)
        self.assertEqual(1, len(assembly.openings.places()))
        assembly.retire(1)
        self.assertRaises(CannotExpose, self.expose, 7001)
        self.assertEqual(frozenset(), assembly.openings.places())

    def test_too_early(self) -> None:
        """Nor while the factory is only being made."""
        plugin = Forwarder()

        def factory(runtime: Runtime, config: Any) -> Any:
            self.assertRaises(CannotExpose, runtime.expose, 7000, "third", self.fail)
            return TcpFactory(runtime, "third")

        plugin.factory = factory
        scene = Scene(self, found(plugin))
        scene.assembly(Listen(name="a", address="127.0.0.1:1", protocol="third"))

    def test_in_start(self) -> None:
        """Asked for while the factory starts, it opens when all do."""
        self.note.on["start"] = lambda: self.expose(7000)
        self.scene.assembly(NOTE)
        self.assertEqual(2, len(self.scene.sockets.accepting))


class RetireTests(LifeMixin):
    """An assembly goes when its sessions have, or when it has waited long enough."""

    def setUp(self) -> None:
        super().setUp()
        self.assembly = self.scene.assembly(NOTE)
        self.clients: list[Peer] = []

    def connect(self) -> NoteSession:
        self.clients.append(self.scene.client(NOTE))
        return self.note.factories[0].sessions[-1]

    def assert_gone(self, retired: Deferred[None]) -> None:
        self.successResultOf(retired)
        self.assertEqual([], self.scene.reactor.getDelayedCalls())
        self.assertEqual(1, self.note.calls.count("stop"))
        self.assertIsNone(self.scene.value("note_heard_total"))

    def test_nobody(self) -> None:
        """Without sessions it goes at once: drained, stopped."""
        self.assert_gone(self.assembly.retire(10))
        self.assertEqual(["drain", "stop"], self.note.calls[-2:])

    def test_ends(self) -> None:
        """With sessions that end when they are told, too."""
        self.note.ends = True
        session = self.connect()
        self.assert_gone(self.assembly.retire(10))
        self.assertEqual((["drain"], "closed"), (session.told, self.clients[0].ended))

    def test_later(self) -> None:
        """Those that have something to finish are waited for."""
        sessions = [self.connect(), self.connect()]
        retired = self.assembly.retire(10)
        for session in sessions:
            self.settle(1)
            self.assertNoResult(retired)
            self.assertEqual(["drain"], session.told)
            self.end(session)
        self.assert_gone(retired)

    def test_cut_off(self) -> None:
        """Whoever takes longer than that is cut off."""
        session = self.connect()
        retired = self.assembly.retire(10)
        self.settle(9.9)
        self.assertEqual(["drain"], session.told)
        self.settle(0.1)
        self.assertEqual((["drain", "abort"], "reset"), (session.told, self.clients[0].ended))
        self.assert_gone(retired)

    def test_deaf(self) -> None:
        """Whoever does not hear of it, or raises, does not keep it either."""
        self.note.deaf = True
        session = self.connect()
        retired = self.assembly.retire(10)
        self.settle(10)
        self.assertNoResult(retired)
        self.settle(LAST)
        self.assert_gone(retired)
        self.end(session)
        self.note.raises("session abort", RuntimeError("never"))

    def test_raises(self) -> None:
        """One that raises is cut off, and so is nobody else."""
        first, second = self.connect(), self.connect()
        self.note.on["session drain"] = lambda: 1 / len(second.told)
        retired = self.assembly.retire(10)
        self.assertEqual(("reset", ""), tuple(client.ended for client in self.clients))
        self.assertEqual(["drain"], first.told)
        self.end(second)
        self.assert_gone(retired)
        self.assertEqual([("note", ZeroDivisionError)], self.scene.crashes)

    def test_factory_raises(self) -> None:
        """A factory that raises at its end keeps nobody from theirs, whatever it raises."""
        for error in (RuntimeError("while stopping"), SystemExit(1)):
            self.setUp()
            for when in ("drain", "stop"):
                self.note.raises(when, error)
            session = self.connect()
            retired = self.assembly.retire(10)
            self.assertEqual(["drain"], session.told)
            self.end(session)
            self.assert_gone(retired)
            self.assertEqual([("note", type(error))] * 2, self.scene.crashes)

    def test_hurry(self) -> None:
        """Told to hurry it waits no longer: for those that end then, and the last moment for those that do not."""
        for self.note.deaf in (False, True):
            self.setUp()
            self.note.deaf = deaf = self.note.deaf
            session = self.connect()
            retired = self.assembly.retire(1000)
            self.settle(1)
            self.assertEqual(["drain"], session.told)
            self.assembly.hurry()
            self.assertEqual(["drain", "abort"], session.told)
            self.settle(LAST if deaf else 0)
            self.assert_gone(retired)
            self.assembly.hurry()
            self.end(session)

    def test_hurry_early(self) -> None:
        """Nobody hurries what does not go."""
        session = self.connect()
        self.assembly.hurry()
        self.settle()
        self.assertEqual([], session.told)

    def test_handed_over(self) -> None:
        """A session that is on its way to another counts as one all the time."""
        session = self.connect()
        retired = self.assembly.retire(10)
        after = NoteSession(session.factory, session.accepted)
        session.factory.runtime.sessions.replace(session, after)
        self.assertNoResult(retired)
        self.assertEqual(["drain"], after.told)
        self.end(after)
        self.assert_gone(retired)

    def test_detecting(self) -> None:
        """A client that has said nothing yet is a session; its protocol is still found, and told."""
        listen = Listen(name="d", address="127.0.0.1:2", detect=("note",))
        assembly = self.scene.assembly(listen)
        client = self.scene.client(listen)
        retired = assembly.retire(10)
        self.note.ends = True
        self.assertEqual(b"late", self.scene.say(client, b"late"))
        self.assertEqual("closed", client.ended)
        self.successResultOf(retired)

    def test_drain_seconds(self) -> None:
        """It may take as long as the most patient direction in use allows."""
        for drains, want in (((1.0, 3.0), 3.0), ((2.0, 0.5), 2.0)):
            outbound, inbound = (Timeouts(drain=seconds) for seconds in drains)
            listeners = (
                Listen(name="a", address="127.0.0.1:1", protocol="note"),
                Listen(name="b", address="127.0.0.1:2", protocol="note", direction="inbound"),
            )
            config = {"outbound": outbound, "inbound": inbound}
            self.assertEqual(want, self.scene.assembly(*listeners, **config).drain_seconds())
            self.assertEqual(drains[0], self.scene.assembly(listeners[0], **config).drain_seconds())


class MetricsTests(LifeMixin):
    """What assemblies show goes with them, and none of it is shown twice."""

    def shown(self) -> dict[str, float]:
        """All samples; an error where one is shown twice."""
        shown: dict[str, float] = {}
        for line in self.scene.text().splitlines():
            if not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                self.assertNotIn(name, shown)
                shown[name] = float(value)
        return shown

    def test_summed(self) -> None:
        """
        Samples of two assemblies with the same labels are one: their sum. Of one that is gone, what it has counted
        stays in it, as a counter must not fall; what is, is that of the other.
        """
        tcp = Listen(name="t", address="127.0.0.1:2", protocol="tcp", target="10.0.0.9:9")
        first = self.scene.assembly(NOTE, tcp)
        self.scene.client(NOTE, b"one")
        self.scene.client(tcp)
        second = self.scene.assembly(NOTE, tcp)
        self.scene.client(NOTE, b"two")
        self.scene.client(tcp)
        shown = self.shown()
        self.assertEqual((2, 2), (shown["note_heard_total"], shown["in_flight"]))
        self.assertEqual(1, shown["service_cache_size"])
        first.sessions.abort()
        first.close()
        shown = self.shown()
        self.assertEqual((2, 1), (shown["note_heard_total"], shown["in_flight"]))
        self.scene.client(NOTE, b"three")
        self.assertEqual(3, self.shown()["note_heard_total"])
        second.sessions.abort()
        second.close()
        shown = self.shown()
        self.assertEqual((3, 0), (shown["note_heard_total"], shown["in_flight"]))

    def test_trips(self) -> None:
        """So it is with what its stacks have counted, although their services are closed."""
        tcp = Listen(name="t", address="127.0.0.1:2", protocol="tcp", target="10.0.0.9:9")
        self.scene.connector.mode = "wait"
        assembly = self.scene.assembly(tcp, outbound=Timeouts(failfast=0.1, acquire=1.0))
        for _ in range(3):
            self.scene.client(tcp)
            self.scene.reactor.settle(0.5)
        name = 'failfast_total{target="10.0.0.9:9"}'
        self.assertEqual(1, self.scene.value(name))
        assembly.close()
        self.assertEqual(1, self.scene.value(name))
        self.assertIsNone(self.scene.value('failfast_state{target="10.0.0.9:9"}'))

    def test_nothing_grows(self) -> None:
        """However many there were, the last leaves as many samples as the first."""
        self.scene.assembly(NOTE).close()
        before = set(self.shown())
        gone: list[Any] = []
        for _ in range(100):
            assembly = self.scene.assembly(NOTE)
            gone.append(ref(assembly.share))
            assembly.close()
        self.assertEqual(before, set(self.shown()))
        self.scene.sockets.accepting.clear()
        self.note.factories.clear()
        del assembly
        gc.collect()
        self.assertEqual(set(), {share() for share in gone} - {None})
