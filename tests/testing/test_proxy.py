# -*- test-case-name: tests.testing.test_proxy -*-
"""
Tests for L{lproxy.testing.proxy}.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.api import Accepted, Runtime, Session
from lproxy.protocols.tcp.plugin import TcpPlugin
from lproxy.stack.interfaces import Health
from lproxy.stack.lease import FREE, Hold
from lproxy.target import Authority, Endpoint, Metadata
from lproxy.testing import ScriptedProxy
from tests.transport.sockets import Recorder


class BrokenFactory:
    """Its sessions raise: when they start, or when they are told of anything."""

    detector = None

    def __init__(self, where: str, error: BaseException) -> None:
        self.where = where
        self.error = error

    def session(self, accepted: Accepted) -> Session:
        return BrokenSession(self, accepted)

    def start(self) -> None: ...

    def drain(self) -> None: ...

    def stop(self) -> None: ...


class BrokenSession:
    """Raises where its factory says."""

    def __init__(self, factory: BrokenFactory, accepted: Accepted) -> None:
        self.factory = factory
        self.accepted = accepted

    def start(self) -> None:
        if self.factory.where == "start":
            raise self.factory.error
        reader = Recorder()
        reader.then["data"] = self.factory.error
        self.accepted.stream.attach(reader, self.accepted.prefix)

    def drain(self) -> None: ...

    def abort(self) -> None: ...

    def describe(self) -> dict[str, Any]:
        return {}


class BrokenPlugin(TcpPlugin):
    """Makes such a factory."""

    def __init__(self, where: str, error: BaseException) -> None:
        self._factory = BrokenFactory(where, error)

    def factory(self, runtime: Runtime, config: object) -> Any:
        return self._factory


class Forgetful:
    """An endpoint, and its lease, as a plugin may have it wrong."""

    load = 0

    def __init__(self, endpoint: Endpoint, metadata: Metadata, health: Health) -> None:
        self.hold: Hold = FREE

    def __repr__(self) -> str:
        return "<forgetful>"

    def try_acquire(self) -> Forgetful:
        return self

    def call(self) -> None:
        """Nothing comes of it."""

    def close(self) -> None:
        """Does not say so."""


class ProxyTests(SynchronousTestCase):
    """TCP in a scripted proxy."""

    def setUp(self) -> None:
        self.proxy = ScriptedProxy(TcpPlugin())

    def test_forwards(self) -> None:
        """A client and an upstream talk, and nothing is left of it; it was counted, shown and recorded."""
        client = self.proxy.client(b"he")
        client.say(b"llo")
        self.proxy.settle()
        (upstream,) = self.proxy.connector.upstreams
        upstream.say(b"hi")
        upstream.hang_up()
        self.proxy.settle()
        self.assertEqual((b"hello", b"hi", 1), (upstream.heard, client.heard, self.proxy.open))
        self.assertEqual({"src", "dst"}, {labels[1] for labels in self.proxy.counted})
        self.assertTrue(all(labels[-1] == "tcp" for labels in self.proxy.counted))
        client.hang_up()
        self.proxy.settle()
        self.assertEqual(([], "closed"), (self.proxy.left(), client.ended))
        self.assertEqual(1, len(self.proxy.records))

    def test_left(self) -> None:
        """What is left is named: a lease, a session, connections, those being opened."""
        self.proxy.client(b"hello")
        self.proxy.connector.mode = "wait"
        self.proxy.client(b"hello")
        self.proxy.reactor.callLater(5, lambda: None)
        left = "\n".join(self.proxy.left())
        for word in (
            "lease",
            "load 2 of tcp",
            "session",
            "upstream",
            "connecting to 10.0.0.9:9000",
            "timer",
            "counted",
        ):
            self.assertIn(word, left)

    def test_not_given_back(self) -> None:
        """A lease whose close() does not tell the stack is left over for the stack, which counts it for ever."""
        lease = self.proxy.runtime.acquire("forgetful", Forgetful).try_acquire(Authority("web", 80))
        assert lease is not None
        lease.close()
        self.assertIn("lease <forgetful> did not begin its close() with ended()", self.proxy.left())

    def test_modes(self) -> None:
        """Upstreams accept, refuse or keep one waiting."""
        self.proxy.connector.mode = "refuse"
        client = self.proxy.client(b"hello")
        self.proxy.settle()
        self.assertEqual("reset", client.ended)
        self.assertIn("refused", self.proxy.warnings[0])
        self.proxy.connector.mode = "wait"
        self.proxy.client(b"hello")
        self.proxy.connector.accept()
        self.proxy.settle()
        self.assertEqual(b"hello", self.proxy.connector.upstreams[0].heard)

    def test_fail(self) -> None:
        """Acquisitions fail with what the test wants, until it wants no more."""
        error = ValueError("no")
        self.proxy.fail(error)
        acquire = self.proxy.factory.acquire
        self.assertIsNone(acquire.try_acquire(None))
        self.assertIs(error, self.failureResultOf(acquire.acquire(None)).value)
        self.proxy.fail(None)
        self.successResultOf(acquire.acquire(None)).close()

    def test_crash(self) -> None:
        """An exception of a session, whatever and wherever, is kept, and ends the connection."""
        for where in ("start", "data"):
            for error in (ValueError("a mistake"), SystemExit(1)):
                proxy = ScriptedProxy(BrokenPlugin(where, error))
                client = proxy.client(b"hello")
                self.assertEqual(([type(error)], "reset"), ([one.type for one in proxy.crashes], client.ended))
                self.assertIn("crash", "".join(proxy.left()))
