# -*- test-case-name: tests.testing.test_plugins -*-
"""
The promises that plugins keep, as tests to mix into a test case of one's own.

All in memory: no reactor, no sockets. C{docs/plugins.rst} shows their use.

Over 300 lines: what a plugin's bytes, ends and shutdowns have to be like is one list.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from lproxy.api import (
    Accepted,
    ConnectFailed,
    Demands,
    HealthCheck,
    IProtocolPlugin,
    Match,
    Secured,
    TcpFactory,
)
from lproxy.stack.timeout import AcquireTimedOut
from lproxy.target import Authority
from lproxy.testing.bounds import BoundsContract
from lproxy.testing.detectors import LIMIT, ends
from lproxy.testing.garbage import only_new, uncounted
from lproxy.testing.metrics import MetricsContract
from lproxy.testing.proxy import ScriptedProxy
from lproxy.testing.sessions import SessionContract
from lproxy.testing.wire import Peer

#: where lproxy's own plugins are, which are compiled together with what they inherit from
OWN = "lproxy.protocols."
#: what TLS has settled for a client that asks for no name and shows no certificate
SECURED = Secured(version="TLSv1.3", cipher="TLS_AES_128_GCM_SHA256")
#: what is never compiled, and may be inherited from
BASES = (Demands, TcpFactory)


class PluginContract(BoundsContract, MetricsContract, SessionContract):
    """
    What a plugin promises, its sessions included: they are run in a L{ScriptedProxy}, one upstream behind it.

    @cvar plugin: the provider
    @cvar table: a configuration table that it accepts
    @cvar conversation: what a client says, from its first byte
    @cvar forwarded: what the upstream hears of it; C{None}: the very same
    @cvar answer: what the upstream says
    @cvar answered: what the client hears of it; C{None}: the very same
    @cvar half_close: whether a client that hung up still hears the answer
    """

    plugin: Any
    table: dict[str, Any] = {}
    conversation: bytes
    forwarded: bytes | None = None
    answer: bytes
    answered: bytes | None = None
    half_close = True

    def start(self) -> ScriptedProxy:
        """A proxy around a new factory."""
        return ScriptedProxy(self.plugin, dict(self.table))

    def talk(self, proxy: ScriptedProxy, tls: Secured | None = None) -> tuple[Peer, Peer]:
        """A client that has said its part, within TLS if that is so, and the upstream that heard it."""
        client = proxy.client(self.conversation, tls=tls)
        proxy.settle()
        self.assertEqual(1, len(proxy.connector.upstreams), "one connection to the upstream")
        return client, proxy.connector.upstreams[0]

    def assert_over(self, proxy: ScriptedProxy, client: Peer) -> None:
        """Nothing is left of any connection."""
        proxy.settle()
        self.assertIn(client.ended, ("closed", "reset"), f"the connection of {client} has not ended")
        self.assertEqual([], proxy.left())

    def test_interface(self) -> None:
        """It is a provider, with a name that fits metrics and configuration, and a version."""
        verifyObject(IProtocolPlugin, self.plugin)
        self.assertRegex(self.plugin.name, r"\A[a-z0-9_-]+\Z")
        self.assertIsInstance(self.plugin.version, str)
        self.assertTrue(self.plugin.version)

    def test_configure(self) -> None:
        """An empty table will do, and so will the example. Neither is changed."""
        for table in ({}, dict(self.table)):
            before = repr(table)
            self.plugin.configure(table)
            self.assertEqual(before, repr(table))

    def test_unknown_key(self) -> None:
        """A key that it does not know is refused, by its name."""
        with self.assertRaises(ValueError) as caught:
            self.plugin.configure({**self.table, "no_such_key": 1})
        self.assertIn("no_such_key", str(caught.exception))

    def test_detector(self) -> None:
        """Its detector, if it has one, knows the conversation."""
        if self.plugin.detector is not None:
            self.assertIsInstance(self.plugin.detector(self.conversation[:LIMIT]), Match)

    def test_factory(self) -> None:
        """A factory opens nothing, starts nothing, and makes a session for each connection that does neither."""
        proxy = self.start()
        self.assertEqual([], proxy.left())
        streams = [proxy.reactor.stream(Peer(), ("10.0.0.1", port), ("10.0.0.2", 4140)) for port in (40000, 40001)]
        first, second = (proxy.factory.session(Accepted(stream, self.plugin.name)) for stream in streams)
        self.assertIsNot(first, second)
        proxy.settle()
        self.assertEqual([0, 0], [stream.bytes_out for stream in streams])

    def test_check(self) -> None:
        """
        An endpoint can be asked whether it serves, beside all leases: that is no load, connects or says why not, can be
        given up at any time, and leaves nothing behind.
        """
        proxy = self.start()
        client, _ = self.talk(proxy)
        for acquire in list(proxy.acquires.values()):
            service = acquire.service
            load, connections = service.load, len(proxy.connector.upstreams)
            asked = service.check(HealthCheck("tcp"))
            proxy.settle()
            self.assertEqual((load, connections + 1), (service.load, len(proxy.connector.upstreams)))
            asked.addErrback(lambda failure: failure.trap(CancelledError))
            asked.cancel()  # where there is more to it than to connect
            proxy.connector.mode = "refuse"
            why: list[Failure] = []
            service.check(HealthCheck("tcp")).addErrback(why.append)
            self.assertEqual([ConnectFailed], [failure.type for failure in why])
            proxy.connector.mode = "accept"
            self.assertEqual(load, service.load)
        client.reset()
        proxy.settle()
        self.assertEqual([], proxy.left())

    def test_bases(self) -> None:
        """It has the methods of interfaces, and does not inherit them: where lproxy is compiled it cannot."""
        proxy = self.start()
        self.talk(proxy)
        for thing in (self.plugin, proxy.factory, *proxy.sessions):
            kind = type(thing)
            if not kind.__module__.startswith(OWN):
                theirs = [base for base in kind.__mro__[1:] if base.__module__.startswith("lproxy.")]
                self.assertEqual([], [base for base in theirs if base not in BASES], f"bases of {kind.__name__}")

    # bytes

    def test_replay(self) -> None:
        """Wherever detection stopped reading, what is forwarded is the same, from the first byte to the last."""
        for end in ends(self.conversation):
            proxy = self.start()
            client = proxy.client(self.conversation[:end])
            client.say(self.conversation[end:])
            proxy.settle()
            self._heard(proxy, end)

    def test_late_upstream(self) -> None:
        """What comes while the upstream is being connected is kept, in order."""
        for end in ends(self.conversation):
            proxy = self.start()
            proxy.connector.mode = "wait"
            client = proxy.client(self.conversation[:end])
            proxy.settle()
            client.say(self.conversation[end:])
            proxy.settle()
            proxy.connector.accept()
            proxy.settle()
            self._heard(proxy, end)

    def test_bytes(self) -> None:
        """A client that sends single bytes is understood."""
        proxy = self.start()
        client = proxy.client(self.conversation[:1])
        for i in range(1, len(self.conversation)):
            client.say(self.conversation[i : i + 1])
            proxy.settle()
        self._heard(proxy, 1)

    def test_answer(self) -> None:
        """The upstream's answer arrives, whole or in single bytes."""
        for size in (len(self.answer), 1):
            proxy = self.start()
            client, upstream = self.talk(proxy)
            for i in range(0, len(self.answer), size):
                upstream.say(self.answer[i : i + size])
                proxy.settle()
            self.assertEqual(self.answer if self.answered is None else self.answered, client.heard)
            self.assertEqual([], proxy.crashes)

    def test_tls(self) -> None:
        """Within TLS a session is the same, and counted as that: what is said is heard, and how it ends is noticed."""
        for leave in (Peer.hang_up, Peer.reset, Peer.cut_off):
            proxy = self.start()
            client, upstream = self.talk(proxy, SECURED)
            self._heard(proxy, 0)
            upstream.say(self.answer)
            proxy.settle()
            self.assertEqual(self.answer if self.answered is None else self.answered, client.heard)
            # both identities, of whom neither has any
            self.assertEqual({("", "")}, {labels[5:] for labels in proxy.counted if labels[1] == "src"})
            leave(client)
            proxy.settle()
            upstream.hang_up()
            self.assert_over(proxy, client)

    # ends

    def test_client_ends(self) -> None:
        """A client that hangs up hears the answer, if that is how it is, and then all is closed."""
        proxy = self.start()
        client, upstream = self.talk(proxy)
        client.hang_up()
        proxy.settle()
        upstream.say(self.answer)
        upstream.hang_up()
        proxy.settle()
        if self.half_close:
            self.assertEqual(self.answer if self.answered is None else self.answered, client.heard)
        self.assert_over(proxy, client)

    def test_ended_before(self) -> None:
        """It may have hung up before its protocol was known."""
        proxy = self.start()
        client = proxy.client(self.conversation, eof=True)
        client.hang_up()
        proxy.settle()
        for upstream in proxy.connector.upstreams:
            upstream.say(self.answer)
            upstream.hang_up()
        self.assert_over(proxy, client)

    def test_cut_short(self) -> None:
        """Wherever a client hangs up or breaks, nothing is left once the upstream has hung up as well."""
        for end in ends(self.conversation):
            for leave in (Peer.hang_up, Peer.reset):
                proxy = self.start()
                client = proxy.client(self.conversation[:end])
                proxy.settle()
                leave(client)
                proxy.settle()
                for upstream in proxy.connector.upstreams:
                    upstream.hang_up()
                self.assert_over(proxy, client)

    def test_upstream_ends(self) -> None:
        """An upstream that answers and hangs up, or breaks, before or amid its answer, ends it too."""
        for leave in (Peer.hang_up, Peer.reset):
            for said in (b"", self.answer[: len(self.answer) // 2], self.answer):
                proxy = self.start()
                client, upstream = self.talk(proxy)
                upstream.say(said)
                proxy.settle()
                leave(upstream)
                proxy.settle()
                client.hang_up()
                self.assert_over(proxy, client)

    def test_client_resets(self) -> None:
        """A client that breaks takes its upstream's connection and its lease with it."""
        proxy = self.start()
        client, _ = self.talk(proxy)
        client.reset()
        self.assert_over(proxy, client)

    @only_new()
    def test_no_cycles(self) -> None:
        """However a connection ends, nothing of it waits for the garbage collector, which stops everybody."""
        proxy = self.start()
        for proxy.connector.mode in ("accept", "wait"):
            for leave in ((Peer.hang_up, Peer.hang_up), (Peer.reset, Peer.hang_up), (Peer.hang_up, Peer.reset)):
                with uncounted() as left:
                    self._once(proxy, *leave)
                self.assertEqual([], left)

    def test_gone_while_connecting(self) -> None:
        """A client that goes away meanwhile takes the acquisition with it."""
        proxy = self.start()
        proxy.connector.mode = "wait"
        client = proxy.client(self.conversation)
        proxy.settle()
        client.reset()
        self.assert_over(proxy, client)
        self.assertEqual(1, proxy.connector.cancelled)

    def test_refused(self) -> None:
        """Where the upstream refuses, the client learns of it."""
        proxy = self.start()
        proxy.connector.mode = "refuse"
        client = proxy.client(self.conversation)
        proxy.settle()
        self._told(proxy, client)

    def test_not_acquired(self) -> None:
        """Where the stack has nothing in time, the client learns of it."""
        proxy = self.start()
        proxy.fail(AcquireTimedOut(Authority("upstream.test", 9000), 3.0))
        client = proxy.client(self.conversation)
        proxy.settle()
        self._told(proxy, client)

    # shutdown

    def test_abort(self) -> None:
        """A shutdown that has waited long enough ends a session at once, whatever it does."""
        for end in ends(self.conversation):
            for mode in ("accept", "wait"):
                proxy = self.start()
                proxy.connector.mode = "wait" if mode == "wait" else "accept"
                client = proxy.client(self.conversation[:end])
                proxy.settle()
                for session in list(proxy.sessions):
                    session.abort()
                self.assert_over(proxy, client)

    def test_drain(self) -> None:
        """A session that is asked to finish does so: it is known, goes on, and ends when its connections do."""
        proxy = self.start()
        client, upstream = self.talk(proxy)
        self.assertEqual(1, len(proxy.sessions), "a live session is known to Runtime.sessions")
        proxy.sessions[0].drain()
        proxy.settle()
        upstream.say(self.answer)
        proxy.settle()
        if self.half_close:
            self.assertEqual(self.answer if self.answered is None else self.answered, client.heard)
        upstream.hang_up()
        client.hang_up()
        self.assert_over(proxy, client)

    def test_describe(self) -> None:
        """A session can be shown at any time, as JSON values that name the protocol and the client."""
        proxy = self.start()
        self.talk(proxy)
        row = proxy.sessions[0].describe()
        self.assertEqual((self.plugin.name, "10.0.0.1:40000"), (row["protocol"], row["client"]))
        for value in row.values():
            self.assertIsInstance(value, (str, int, float, bool, list, dict, type(None)))

    def _once(self, proxy: ScriptedProxy, client_leaves: Any, upstream_leaves: Any) -> None:
        """A connection's life, of which the doubles remember nothing."""
        client = proxy.client(self.conversation)
        proxy.settle()
        if proxy.connector.waiting:
            proxy.connector.accept()
            proxy.settle()
        proxy.connector.upstreams[0].say(self.answer)
        proxy.settle()
        client_leaves(client)
        proxy.settle()
        upstream_leaves(proxy.connector.upstreams[0])
        self.assert_over(proxy, client)
        del proxy.leases[:], proxy.connector.upstreams[:]

    def _heard(self, proxy: ScriptedProxy, end: int) -> None:
        heard = b"".join(upstream.heard for upstream in proxy.connector.upstreams)
        wanted = self.conversation if self.forwarded is None else self.forwarded
        self.assertEqual(wanted, heard, f"with {end} bytes read before")
        self.assertEqual([], proxy.crashes)

    def _told(self, proxy: ScriptedProxy, client: Peer) -> None:
        self.assertTrue(client.ended or client.heard, "the client hears something, or its connection ends")
        self.assertEqual([], proxy.crashes)
        client.hang_up()
        self.assert_over(proxy, client)
