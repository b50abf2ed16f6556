# -*- test-case-name: tests.test_api -*-
"""
Tests for L{lproxy.api}: that it has what the guide names, and what is guaranteed to plugins, by number, held against
the assembly that runs them.
"""

from __future__ import annotations

import re
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from lproxy import api
from lproxy.api import ConnectionClient, Endpoint, Match, NeedMore, NoMatch, Reader, Verdict
from lproxy.app.assembly import CannotStart
from lproxy.app.plugins import OPENINGS, Found, configures, tried
from lproxy.config import Limits, Listen
from lproxy.configfile import load
from lproxy.testing import ScriptedProxy
from tests.app.scene import Scene
from tests.floors_source import ROOT
from tests.note import Note, NoteSession

LISTEN = Listen(name="a", address="127.0.0.1:1", protocol="note")


class DoorTests(SynchronousTestCase):
    """One module has all that an author needs."""

    def test_all(self) -> None:
        """What it says it has it has, in order, and nothing else of ours."""
        self.assertEqual(
            sorted(api.__all__, key=lambda name: (not name.isupper(), name[0].islower(), name)), api.__all__
        )
        shown = {name for name in vars(api) if not name.startswith("_")} - {"annotations"}
        self.assertEqual(set(api.__all__), shown)

    def test_named(self) -> None:
        """The guide names all of it."""
        guide = (ROOT / "docs" / "plugins.rst").read_text()
        self.assertEqual([], [name for name in api.__all__ if f"``{name}``" not in guide])
        runtime = [name for name in dir(api.Runtime) if not name.startswith("_")] + ["fixed"]
        self.assertEqual([], [name for name in runtime if not re.search(rf"``{name}\b", guide)])

    def test_guide(self) -> None:
        """What the guide imports is there."""
        guide = (ROOT / "docs" / "plugins.rst").read_text()
        for names in re.findall(r"from lproxy\.api import (\([^)]*\)|[^\n]*)", guide):
            for name in re.findall(r"\w+", names):
                self.assertIn(name, api.__all__)

    def test_numbered(self) -> None:
        """Its guarantees are numbered, and each has a test here."""
        numbers = re.findall(r"(?m)^ +(\d+)\. ", api.__doc__ or "")
        self.assertEqual([str(n + 1) for n in range(len(numbers))], numbers)
        tested = {name[4:5] for name in dir(GuaranteeTests) if name.startswith("test") and name[4:5].isdigit()}
        self.assertEqual(set(numbers), tested)


class GuaranteeTests(SynchronousTestCase):
    """What is guaranteed to plugins."""

    def setUp(self) -> None:
        self.scene = Scene(self)
        self.plugin: Note = self.scene.note

    def start(self, *detect: str, limits: Limits | None = None) -> Listen:
        """A listener that speaks it: detected, where C{detect} says so."""
        listen = Listen(name="l", address="127.0.0.1:1", target="10.0.0.9:9", protocol=None if detect else "note")
        if detect:
            listen = Listen(name="l", address="127.0.0.1:1", target="10.0.0.9:9", detect=detect)
        self.assembly = self.scene.assembly(listen, limits=limits or Limits())
        self.plugin.asked.clear()
        return listen

    def shown(self) -> list[bytes]:
        """What its detector was shown."""
        return [call[1] for call in self.plugin.asked if call[0] == "detector"]

    def load(self, text: str) -> Any:
        return load(text, "file", configures([Found("note.py", "note", "1", self.plugin)]))

    def test1_configure(self) -> None:
        """
        1: configure is called once for the file's own table and once for each listener that overrides it, before
        factory, which gets the very value.
        """
        text = """
            admin.address = ""
            [note]
            size = 1
            [[listen]]
            name = "a"
            address = "127.0.0.1:1"
            protocol = "note"
            [[listen]]
            name = "b"
            address = "127.0.0.1:2"
            protocol = "note"
            [listen.note]
            more = 2
        """
        loaded = self.load(text)
        self.assertEqual((), loaded.problems)
        self.assertEqual([("configure", {"size": 1}), ("configure", {"size": 1, "more": 2})], self.plugin.asked)
        self.plugin.asked.clear()
        self.scene.made(loaded.config)
        first, second = self.plugin.asked
        self.assertEqual((("factory", "a"), ("factory", "b")), (first[:2], second[:2]))
        self.assertIs(self.plugin.made[0], first[2])
        self.assertIs(self.plugin.made[1], second[2])

    def test1_refusal(self) -> None:
        """1: what configure refuses is a problem of the file, with its line and the plugin's own words."""
        text = "[note]\nsize = 1\ncolour = 2\n[[listen]]\nname = 'a'\naddress = '127.0.0.1:1'\nprotocol = 'note'\n"
        loaded = self.load(text)
        self.assertIsNone(loaded.config)
        self.assertEqual(["file:3: note.colour: there is none; leave it out"], [str(one) for one in loaded.problems])

    def test1_tried(self) -> None:
        """1: to see whether the plugin works, configure gets an empty table and detector some openings."""
        tried([Found("note.py", "note", "1", self.plugin)])
        detected = [("detector", opening) for opening in OPENINGS]
        self.assertEqual([("configure", {}), *detected], self.plugin.asked)
        self.assertIn(b"", OPENINGS)

    def test2_factory(self) -> None:
        """
        2: factory is called once for each listener that names the protocol, before any opens; then start, before its
        own does.
        """
        listeners = (
            Listen(name="a", address="127.0.0.1:1", detect=("note",)),
            Listen(name="b", address="127.0.0.1:2", protocol="note"),
            Listen(name="c", address="127.0.0.1:3", detect=()),
        )
        opened: list[int] = []
        self.plugin.on["factory"] = self.plugin.on["start"] = lambda: opened.append(len(self.scene.sockets.accepting))
        self.scene.assembly(*listeners)
        # with what configure makes of nothing, as no file has been read
        nothing = {"tag": ""}
        each = [call for name in "ab" for call in (("configure", {}), ("factory", name, nothing))]
        self.assertEqual([*each, ("start", "a"), ("start", "b")], self.plugin.asked)
        self.assertEqual([0, 0, 0, 0], opened)
        self.assertEqual(3, len(self.scene.sockets.accepting))

    def test2_stop(self) -> None:
        """2: drain when the configuration goes, and stop when the last session of the listener is over."""
        listen = self.start()
        client = self.scene.client(listen)
        retired = self.assembly.retire(10)
        self.assertEqual(["session", "session start", "drain", "session drain"], self.plugin.calls)
        client.hang_up()
        self.scene.reactor.settle()
        self.successResultOf(retired)
        self.assertEqual(["stop"], self.plugin.calls[4:])

    def test2_new(self) -> None:
        """2: a new configuration has new factories."""
        self.start()
        self.start()
        self.assertEqual(2, len(self.plugin.factories))
        self.assertIsNot(*self.plugin.factories)

    def test3_detector(self) -> None:
        """3: the detector is shown every byte so far, and nothing more after an answer."""
        self.plugin.verdicts = [NeedMore(2), NeedMore(5), Match()]
        client = self.scene.client(self.start("note"), b"a")
        for data in (b"b", b"c", b"d", b"e", b"f"):
            self.scene.say(client, data)
        self.assertEqual([b"a", b"ab", b"abcde"], self.shown(), "not before it can tell, and never again")

    def test3_limit(self) -> None:
        """3: and at most limits.detect of them."""
        self.plugin.verdicts = [NeedMore(100)]
        client = self.scene.client(self.start("note", limits=Limits(detect=8)), b"a" * 20)
        self.assertEqual([8], [len(prefix) for prefix in self.shown()])
        self.scene.say(client, b"more")
        self.assertEqual(1, len(self.shown()))

    def test3_no_match(self) -> None:
        """3: NoMatch is an answer, too."""
        self.plugin.verdicts = [NoMatch()]
        client = self.scene.client(self.start("note"), b"G")
        self.scene.say(client, b"ET")
        self.assertEqual([b"G"], self.shown())

    def test3_variant(self) -> None:
        """3: what it matched, and in which variant, is told to the factory."""
        self.plugin.verdicts = [Match("note/2")]
        self.scene.client(self.start("note"), b"a")
        self.assertIn(("session", "l", "note/2", b"a"), self.plugin.asked)

    def test3_own(self) -> None:
        """3: a factory's own detector, which knows the listener's settings, is asked instead of the plugin's."""
        seen: list[bytes] = []

        def own(prefix: bytes) -> Verdict:
            seen.append(prefix)
            return NoMatch()

        self.plugin.own_detector = own
        self.scene.client(self.start("note"), b"a")
        self.assertEqual(([b"a"], []), (seen, self.shown()))

    def test3_configured(self) -> None:
        """3: a listener that is told its protocol asks no detector."""
        self.scene.client(self.start(), b"anything")
        self.assertEqual(([], [b"anything"]), (self.shown(), self.plugin.got))

    def test4_session(self) -> None:
        """4: a session is made, entered, and then started."""
        listen = self.start()
        known: list[int] = []
        for what in ("session", "session start"):
            self.plugin.on[what] = lambda: known.append(len(self.assembly.sessions))
        self.scene.client(listen)
        self.assertEqual([0, 1], known)

    def test4_replay(self) -> None:
        """4: accepted.prefix is what the detector saw, to the byte; the stream has the rest, in order."""
        self.plugin.verdicts = [NeedMore(3), Match()]
        client = self.scene.client(self.start("note"), b"ab")
        self.scene.say(client, b"cd")
        self.scene.say(client, b"ef")
        self.assertEqual([b"abcd", b"ef"], self.plugin.got)
        (session,) = self.plugin.factories[0].sessions
        self.assertEqual(b"abcd", session.accepted.prefix)

    def test5_nested(self) -> None:
        """5: a stream that is closed or aborted tells its reader so before that returns."""
        for leave in ("close", "abort"):
            self.setUp()
            listen = self.start()
            self.scene.client(listen)
            (session,) = self.plugin.factories[0].sessions
            getattr(session.stream, leave)()
            self.assertEqual(0, len(self.assembly.sessions), leave)

    def test5_one_reader(self) -> None:
        """5: a stream tells the reader that was attached last, and nobody else."""
        listen = self.start()
        client = self.scene.client(listen, b"first")
        (session,) = self.plugin.factories[0].sessions
        heard: list[bytes] = []

        class Next(NoteSession):
            def data_received(self, data: bytes) -> None:
                heard.append(data)

        reader: Reader = Next(session.factory, session.accepted)
        session.stream.attach(reader)
        self.scene.say(client, b"second")
        self.assertEqual(([b"first"], [b"second"]), (self.plugin.got, heard))

    def errors(self) -> float | None:
        """What is counted in plugin_errors_total."""
        return self.scene.value('plugin_errors_total{plugin="note"}')

    def test6_session(self) -> None:
        """6: an exception in a session ends that connection, and no other; it is told once, by name, and counted."""
        listen = self.start()
        first, second = self.scene.client(listen, b"fine"), self.scene.client(listen, b"fine")
        self.scene.say(first, b"bug")
        self.assertEqual(("reset", ""), (first.ended, second.ended))
        self.scene.say(second, b"still fine")
        self.assertEqual(b"still fine", self.plugin.got[-1])
        self.assertEqual([("note", ZeroDivisionError)], self.scene.crashes)
        self.assertEqual(1, self.errors())

    def test6_each(self) -> None:
        """6: whatever its class, and wherever in a session."""
        for error in (ZeroDivisionError(), SystemExit(3), KeyboardInterrupt()):
            for when in ("session", "session start", "session drain", "session abort"):
                self.setUp()
                listen = self.start()
                other = self.scene.client(listen)
                self.plugin.raises(when, error)
                client = self.scene.client(listen)
                if when in ("session", "session start"):
                    self.assertEqual(("reset", ""), (client.ended, other.ended))
                self.assembly.sessions.drain()
                self.assembly.sessions.abort()
                self.assertEqual({("note", type(error))}, set(self.scene.crashes))
                self.assertEqual(("reset", "reset", 0), (client.ended, other.ended, len(self.assembly.sessions)))

    def test6_detector(self) -> None:
        """6: in a detector, too, which is asked no more; the connection is another protocol's."""
        self.plugin.verdicts = [ZeroDivisionError("in a detector")]
        client = self.scene.client(self.start("note"), b"GET / HTTP/1.1\r\n")
        self.scene.say(client, b"Host: a\r\n\r\n")
        self.assertEqual(1, len(self.shown()))
        self.assertEqual([("note", ZeroDivisionError)], self.scene.crashes)
        self.assertEqual(1, self.errors())
        self.assertEqual(["tcp"], [row["protocol"] for row in self.assembly.sessions.describe()])

    def test6_start(self) -> None:
        """6: in factory, in start and in a configure without a file it names the plugin, and nothing is opened."""
        for when, words in (("configure", "be set up"), ("factory", "be set up"), ("start", "start")):
            for error in (OSError("no disk"), SystemExit("bye")):
                self.setUp()
                self.plugin.raises(when, error)
                refused = self.assertRaises(CannotStart, self.scene.assembly, LISTEN)
                self.assertEqual(f"a: protocol note cannot {words}: {type(error).__name__}: {error}", str(refused))
                self.assertEqual({}, self.scene.sockets.accepting)

    def test6_rows(self) -> None:
        """6: one in describe or in a metric source costs its rows."""
        listen = self.start("note")
        self.scene.client(listen)
        self.plugin.verdicts = [NoMatch()]
        self.scene.client(listen, b"tcp")
        self.plugin.verdicts = [Match()]
        self.scene.client(listen, b"note")
        self.plugin.raises("describe", SystemExit(1))
        rows = self.assembly.sessions.describe()
        self.assertEqual([None, "tcp"], [row["protocol"] for row in rows])
        self.assertEqual(1, self.scene.value("note_heard_total"))
        self.plugin.factories[0].heard = None  # type: ignore[assignment]
        self.assertIsNone(self.scene.value("note_heard_total"))
        self.assertIn("tcp_open_total{", self.scene.text())

    def test7_lease(self) -> None:
        """7: closing the lease of a connection closes the connection; an acquisition may be cancelled at any time."""
        proxy = ScriptedProxy(self.plugin)
        acquire = proxy.runtime.acquire(
            "note", lambda at, about, _: ConnectionClient(proxy.runtime.outward, at, about, "note")
        )
        target = proxy.runtime.fixed
        assert target is not None
        lease = self.successResultOf(acquire.acquire(target))
        upstream = lease.call()
        self.assertEqual(Endpoint("10.0.0.9", 9000), upstream.endpoint)
        lease.close()
        self.assertTrue(upstream.stream.closed)
        proxy.connector.mode = "wait"
        waiting = acquire.acquire(target)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual([], proxy.left())
