# -*- test-case-name: tests.testing.test_bounds -*-
"""
The promises of a plugin's sessions on what they keep and how long they wait, and on what fails now and then, as tests
to mix into a test case.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from lproxy.config import Limits
from lproxy.testing.faults import Fault, Faults
from lproxy.testing.proxy import ScriptedProxy
from lproxy.testing.wire import Peer
from lproxy.transport.socket import READ_SIZE

if TYPE_CHECKING:
    from unittest import TestCase as _TestCase
else:
    _TestCase = object

#: how much more than C{limits.buffer} may have been read: what one more read brings, and a message in hand
SLACK = 4 * READ_SIZE
#: how much a peer says that never stops
ENDLESS = 4 * 1024 * 1024


class BoundsContract(_TestCase):
    """
    What a session keeps, how long it waits, and that it bears what fails.

    Part of L{PluginContract<lproxy.testing.plugins.PluginContract>}.

    @cvar opening: seconds within which a client has to have said its first words, or is let go; C{None}: it may take
        as long as it likes
    @cvar endless: what a client may say on and on, after the conversation; C{None}: the conversation again
    """

    plugin: Any
    conversation: bytes
    answer: bytes
    opening: float | None = None
    endless: bytes | None = None

    def start(self) -> ScriptedProxy:
        """A proxy around a new factory."""
        raise NotImplementedError

    def talk(self, proxy: ScriptedProxy) -> tuple[Peer, Peer]:
        """A client that has said its part, and the upstream that received it."""
        raise NotImplementedError

    def much(self, piece: bytes) -> bytes:
        """C{piece} on and on."""
        return piece * (ENDLESS // len(piece) + 1)

    def assert_bounded(self, peer: Peer, what: str) -> None:
        """C{peer}, that says L{ENDLESS} bytes, is not read on and on; or is let go."""
        most = Limits().buffer + SLACK
        kept = ENDLESS - peer.unread
        self.assertTrue(peer.ended or kept <= most, f"{kept} bytes of {what} are kept; no more than {most} should be")

    def test_bounded_waiting(self) -> None:
        """A client that sends on and on while its upstream is being connected is read no further than the buffer."""
        proxy = self.start()
        proxy.connector.mode = "wait"
        client = proxy.client(self.conversation)
        client.say(self.much(self.endless or self.conversation)[:ENDLESS])
        proxy.settle()
        self.assert_bounded(client, "what a client says while its upstream is being connected")
        client.reset()
        proxy.settle()
        self.assertEqual([], proxy.left())

    def test_bounded_upstream(self) -> None:
        """Nor is one whose upstream takes nothing."""
        proxy = self.start()
        client, upstream = self.talk(proxy)
        upstream.room = 0
        client.say(self.much(self.endless or self.conversation)[:ENDLESS])
        proxy.settle()
        self.assert_bounded(client, "what a client says while its upstream takes nothing")
        self._all_gone(proxy, client)

    def test_bounded_client(self) -> None:
        """Nor is an upstream whose client takes nothing."""
        proxy = self.start()
        client, upstream = self.talk(proxy)
        client.room = 0
        upstream.say(self.much(self.answer)[:ENDLESS])
        proxy.settle()
        self.assert_bounded(upstream, "what an upstream says while its client takes nothing")
        self._all_gone(proxy, client)

    def test_opening(self) -> None:
        """Where it says how long a client may take for its first words, nobody is waited for any longer."""
        if self.opening is None:
            return
        for said in (b"", self.conversation[:1]):
            proxy = self.start()
            client = proxy.client(said)
            proxy.settle(self.opening + 1.0)
            self.assertTrue(client.ended or client.heard, f"a client that has said {said!r} is waited for")
            client.hang_up()
            proxy.settle()
            self.assertEqual([], proxy.left())

    def test_faults(self) -> None:
        """
        Each function of the plugin may raise, once it has done its work: nothing is left then of the connection, and
        nobody is kept waiting who is not told. What a timer or a Deferred calls is to be L{contained
        <lproxy.protocols.runtime.Runtime.contained>}, or has an errback.
        """
        module = type(self.plugin).__module__
        package = module.rpartition(".")[0] or module
        steps, _ = self._life(package, -1)
        for at, step in enumerate(steps):
            try:
                _, proxy = self._life(package, at)
            except Fault:
                self.fail(f"nobody catches what {step} raises")
            left = [one for one in proxy.left() if not one.startswith("crash")]
            self.assertEqual([], left, f"where {step} raises")

    def _life(self, package: str, at: int) -> tuple[list[str], ScriptedProxy]:
        """A connection's, to its end."""
        proxy, faults = self.start(), Faults(package, at)
        with faults.injected():
            client = proxy.client(self.conversation)
            proxy.settle()
            for upstream in proxy.connector.upstreams:
                upstream.say(self.answer)
            proxy.settle()
            client.hang_up()
            proxy.settle()
        for stream in list(proxy.reactor.streams):
            stream.peer.reset()
        proxy.settle()
        return faults.steps, proxy

    def test_sometimes(self) -> None:
        """The log and the access log fail now and then: that costs one connection at most, and others are served."""
        for name in ("access", "warn", "say"):
            proxy = self.start()
            failing = Failing(getattr(proxy.runtime, name))
            object.__setattr__(proxy.runtime, name, failing)
            for failing.fails in (True, False):
                client, upstream = self.talk_again(proxy)
                upstream.say(self.answer)
                proxy.settle()
                self._all_gone(proxy, client, crashes=failing.fails)

    def talk_again(self, proxy: ScriptedProxy) -> tuple[Peer, Peer]:
        """Another client, and whoever received what it said."""
        before = len(proxy.connector.upstreams)
        client = proxy.client(self.conversation)
        proxy.settle()
        upstreams = proxy.connector.upstreams[before:]
        self.assertEqual(1, len(upstreams), "one connection to the upstream")
        return client, upstreams[0]

    def _all_gone(self, proxy: ScriptedProxy, client: Peer, crashes: bool = False) -> None:
        client.reset()
        for upstream in proxy.connector.upstreams:
            upstream.reset()
        proxy.settle()
        if crashes:
            proxy.crashes.clear()
        self.assertEqual([], proxy.left())


class Failing:
    """
    A function that fails as long as it is told to.

    @ivar fails: whether it does
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self.fails = False

    def __call__(self, *args: Any) -> Any:
        """As the function does, or not."""
        if self.fails:
            raise OSError("fails, as a test wants it")
        return self._function(*args)
