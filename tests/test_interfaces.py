# -*- test-case-name: tests.test_interfaces -*-
"""
Tests for L{lproxy.interfaces}: what is guaranteed to plugins, by number, held against the proxy that runs them.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from twisted.internet.protocol import Factory, Protocol
from twisted.plugin import IPlugin
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from lproxy.app import service
from lproxy.app.plugins import Found, configures, find
from lproxy.app.service import CannotStart, Proxy
from lproxy.config import Admin, Config, Limits, Listen
from lproxy.configfile import load
from lproxy.interfaces import IProtocolPlugin, Match, NeedMore, NoMatch, Verdict
from lproxy.testing.proxy import CLIENT, OURS, ScriptedConnector
from lproxy.testing.wire import Peer, ScriptedReactor


class Session(Protocol):
    """Remembers what it gets, and raises at the word C{bug}."""

    def __init__(self, got: list[bytes]) -> None:
        self.got = got

    def dataReceived(self, data: bytes) -> None:
        self.got.append(data)
        if b"bug" in data:
            raise ZeroDivisionError("a bug")


@implementer(IProtocolPlugin)
class Note:
    """
    A plugin that notes what is asked of it.

    @ivar asked: each call, in order
    @ivar verdicts: what its detector answers, in order; the last for ever
    """

    name = "note"
    version = "1"

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.got: list[bytes] = []
        self.verdicts: list[Verdict | Exception] = [Match()]
        self.made: list[Any] = []

    def detector(self, prefix: bytes) -> Verdict:
        self.asked.append(("detector", prefix))
        verdict = self.verdicts.pop(0) if len(self.verdicts) > 1 else self.verdicts[0]
        if isinstance(verdict, Exception):
            raise verdict
        return verdict

    def configure(self, table: dict[str, Any]) -> Any:
        self.asked.append(("configure", dict(table)))
        if "colour" in table:
            raise ValueError("colour: there is none; leave it out")
        value = ("value", *sorted(table))
        self.made.append(value)
        return value

    def factory(self, runtime: Any, config: Any) -> Any:
        self.asked.append(("factory", runtime.listen.name, config))
        factory = Factory()
        factory.noisy = False
        factory.buildProtocol = lambda addr: Session(self.got)  # type: ignore[method-assign]
        return factory


class GuaranteeTests(SynchronousTestCase):
    """IProtocolPlugin's five guarantees."""

    def setUp(self) -> None:
        self.plugin = Note()
        self.reactor = ScriptedReactor()

    def proxy(self, config: Config) -> Proxy:
        """A proxy that has the plugin, and opens nothing."""
        connector = ScriptedConnector(self.reactor)
        connector.mode = "wait"
        self.patch(service, "bind", self.fail)
        self.patch(service, "hub", lambda reactor: reactor)
        self.patch(service, "Connector", lambda *args: connector)
        found = [*find(), Found("note.py", "note", "1", self.plugin)]
        return Proxy(config, found, self.reactor)

    def edge(self, **settings: Any) -> Any:
        """A listener that speaks it."""
        limits = settings.pop("limits", Limits())
        listen = Listen(name="l", address="127.0.0.1:0", target="10.0.0.9:9", **settings)
        self.now = self.proxy(Config(listen=(listen,), limits=limits))
        edge = self.now._edge(listen)
        self.plugin.asked.clear()
        return edge

    def client(self, edge: Any, data: bytes = b"") -> Peer:
        """A connection, and what it says first."""
        peer = Peer()
        edge.accepted(self.reactor.stream(peer, CLIENT, OURS))
        peer.say(data)
        self.turn()
        return peer

    def turn(self) -> None:
        """Read what there is to read, without time passing."""
        self.reactor.settle()

    def test_configure(self) -> None:
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
        loaded = load(text, "file", configures([Found("note.py", "note", "1", self.plugin)]))
        self.assertEqual((), loaded.problems)
        assert loaded.config is not None
        self.assertEqual([("configure", {"size": 1}), ("configure", {"size": 1, "more": 2})], self.plugin.asked)
        proxy = self.proxy(loaded.config)
        self.plugin.asked.clear()
        for listen in loaded.config.listen:
            proxy._edge(listen)
        first, second = self.plugin.asked
        self.assertEqual((("factory", "a"), ("factory", "b")), (first[:2], second[:2]))
        self.assertIs(self.plugin.made[0], first[2])
        self.assertIs(self.plugin.made[1], second[2])

    def test_refusal(self) -> None:
        """What configure refuses is a problem of the file, with its line and the plugin's own words."""
        text = "[note]\nsize = 1\ncolour = 2\n[[listen]]\nname = 'a'\naddress = '127.0.0.1:1'\nprotocol = 'note'\n"
        loaded = load(text, "file", configures([Found("note.py", "note", "1", self.plugin)]))
        self.assertIsNone(loaded.config)
        self.assertEqual(["file:3: note.colour: there is none; leave it out"], [str(one) for one in loaded.problems])

    def test_factory(self) -> None:
        """2: factory is called once for each listener that names the protocol, before anything is opened."""
        listeners = (
            Listen(name="a", address="127.0.0.1:1", detect=("note", "http")),
            Listen(name="b", address="127.0.0.1:2", protocol="note"),
            Listen(name="c", address="127.0.0.1:3"),
        )
        proxy = self.proxy(Config(admin=Admin(address=""), listen=listeners))

        def bind(address: str, reactor: Any) -> Any:
            self.plugin.asked.append(("bind", address))
            raise CannotStart("far enough")

        self.patch(service, "bind", bind)
        self.assertRaises(CannotStart, proxy.privilegedStartService)
        # with what configure makes of nothing, as no file has been read
        each = [call for name in "ab" for call in (("configure", {}), ("factory", name, ("value",)))]
        self.assertEqual([*each, ("bind", "127.0.0.1:1")], self.plugin.asked)

    def test_detector(self) -> None:
        """3: the detector is shown every byte so far, and nothing more after an answer."""
        self.plugin.verdicts = [NeedMore(2), NeedMore(5), Match()]
        client = self.client(self.edge(detect=("note",)), b"a")
        for data in (b"b", b"c", b"d", b"e", b"f"):
            client.say(data)
            self.turn()
        prefixes = [prefix for _, prefix in self.plugin.asked]
        self.assertEqual([b"a", b"ab", b"abcde"], prefixes, "not before it can tell, and never again")

    def test_detector_limit(self) -> None:
        """3: and at most limits.detect of them."""
        self.plugin.verdicts = [NeedMore(100)]
        client = self.client(self.edge(detect=("note",), limits=Limits(detect=8)), b"a" * 20)
        self.assertEqual([8], [len(prefix) for _, prefix in self.plugin.asked])
        client.say(b"more")
        self.turn()
        self.assertEqual(1, len(self.plugin.asked))

    def test_no_match(self) -> None:
        """3: NoMatch is an answer, too."""
        self.plugin.verdicts = [NoMatch()]
        client = self.client(self.edge(detect=("note", "http")), b"G")
        client.say(b"ET")
        self.turn()
        self.assertEqual([("detector", b"G")], self.plugin.asked)

    def test_configured(self) -> None:
        """A listener that is told its protocol asks no detector."""
        self.client(self.edge(protocol="note"), b"anything")
        self.assertEqual(([], [b"anything"]), (self.plugin.asked, self.plugin.got))

    def test_replay(self) -> None:
        """4: dataReceived gets what the detector saw, to the byte, then the rest, in order."""
        self.plugin.verdicts = [NeedMore(3), Match()]
        client = self.client(self.edge(detect=("note",)), b"ab")
        client.say(b"cd")
        self.turn()
        client.say(b"ef")
        self.turn()
        self.assertEqual([b"abcd", b"ef"], self.plugin.got)

    def errors(self) -> float:
        """What is counted in plugin_errors_total."""
        text = b"".join(self.now.metrics.text()).decode()
        (value,) = (
            line.split()[1] for line in text.splitlines() if line.startswith('plugin_errors_total{plugin="note"}')
        )
        return float(value)

    def test_session(self) -> None:
        """5: an exception in a session ends that connection, and no other; it is logged once, by name, and counted."""
        edge = self.edge(protocol="note")
        first, second = self.client(edge, b"fine"), self.client(edge, b"fine")
        first.say(b"bug")
        self.turn()
        self.assertEqual(("reset", ""), (first.ended, second.ended))
        second.say(b"still fine")
        self.turn()
        self.assertEqual(b"still fine", self.plugin.got[-1])
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.assertEqual(1, self.errors())

    def test_raising_detector(self) -> None:
        """5: so it is in a detector, which is asked no more; the connection is another protocol's."""
        self.plugin.verdicts = [ZeroDivisionError("in a detector")]
        client = self.client(self.edge(detect=("note", "http")), b"GET / HTTP/1.1\r\n")
        client.say(b"Host: a\r\n\r\n")
        self.turn()
        self.assertEqual(1, len(self.plugin.asked))
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.assertEqual(1, self.errors())
        self.assertEqual(["http"], [row["protocol"] for row in self.now.connections()])


class ShapeTests(SynchronousTestCase):
    """The interface itself, and its values."""

    def test_built_in(self) -> None:
        """The built-in protocols keep to it, and so does the one of these tests."""
        for plugin in (*(one.plugin for one in find()), Note()):
            verifyObject(IProtocolPlugin, plugin)

    def test_twisted(self) -> None:
        """Whoever provides it is a plugin to Twisted."""
        self.assertTrue(IProtocolPlugin.extends(IPlugin))

    def test_verdicts(self) -> None:
        """Answers are values: equal where they say the same, hashable, and never changed."""
        for verdict, other in ((Match("HTTP/1"), Match("HTTP/2")), (NeedMore(3), NeedMore(4)), (NoMatch(), Match())):
            self.assertEqual(verdict, dataclasses.replace(verdict))
            self.assertEqual(hash(verdict), hash(dataclasses.replace(verdict)))
            self.assertNotEqual(verdict, other)
            self.assertRaises(Exception, setattr, verdict, "variant", "x")

    def test_defaults(self) -> None:
        """A match can be spoken unless it says otherwise; more is at least a byte."""
        self.assertEqual((True, "", 1), (Match().spoken, Match().variant, NeedMore().at_least))
