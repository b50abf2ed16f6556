# -*- test-case-name: tests.testing.test_plugins -*-
"""
Tests for L{lproxy.testing.plugins}: the built-in protocols keep the promises, and plugins that do not are found out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest import TestResult

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from lproxy.api import Accepted, IProtocolPlugin, NoMatch, Runtime, TcpFactory
from lproxy.protocols.http.plugin import HttpPlugin
from lproxy.protocols.tcp.plugin import TcpPlugin
from lproxy.testing import PluginContract
from tests.source import source

#: whose promises are broken by inheriting from it, which a compiled class refuses
TcpSession: Any = source("lproxy.protocols.tcp.session").TcpSession


class TcpTests(PluginContract, SynchronousTestCase):
    """TCP keeps what a plugin promises."""

    plugin = TcpPlugin()
    conversation = b"\x00\xffany bytes\r\n"
    answer = b"others\x00"


class HttpTests(PluginContract, SynchronousTestCase):
    """HTTP does, which takes its messages apart."""

    plugin = HttpPlugin()
    conversation = b"POST /memo HTTP/1.1\r\nHost: upstream.test\r\nContent-Length: 5\r\n\r\nhello"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    half_close = False


@implementer(IProtocolPlugin)
class Plugin:
    """Forwards bytes, by a session of C{kind}."""

    name: Any = "plugin"
    version: Any = "1"
    detector: Any = None

    def __init__(self, kind: type[TcpSession] = TcpSession) -> None:
        self.kind = kind

    def configure(self, table: dict[str, Any]) -> None:
        for key in table:
            raise ValueError(f"{key}: unknown")

    def factory(self, runtime: Runtime, config: None) -> Any:
        kind = self.kind

        class Factory(TcpFactory):
            def session(self, accepted: Accepted) -> TcpSession:
                return kind(runtime, self.acquire, self.name, accepted)

        return Factory(runtime, self.name, None)


class Deaf(TcpSession):
    """Loses what comes while it waits."""

    def _acquired(self, lease: Any) -> None:
        self._relay.to_upstream.kept = b""
        super()._acquired(lease)


class Plain(TcpSession):
    """Wants a socket, which there is none of within TLS."""

    def start(self) -> None:
        super().start()
        if self._accepted.stream.conn.tls is not None:
            assert self._accepted.stream.raw() is not None


class Greedy(TcpSession):
    """Takes what detection has read for something else."""

    def __init__(self, runtime: Runtime, acquire: Any, name: str, accepted: Accepted) -> None:
        super().__init__(runtime, acquire, name, accepted._replace(prefix=b""))


class Fragile(TcpSession):
    """Raises."""

    def start(self) -> None:
        raise ValueError("no such thing")


class Immortal(TcpSession):
    """Does not end when it is told to."""

    def abort(self) -> None:
        pass


class Hasty(TcpSession):
    """Ends at once when it may finish."""

    def drain(self) -> None:
        self.abort()


class Unknown(TcpSession):
    """Is not known to the proxy."""

    def start(self) -> None:
        super().start()
        self._runtime.sessions.remove(self)


class Forgetful:
    """Sessions of which none is ever over."""

    def remove(self, session: Any) -> None:
        pass


class Undead(TcpSession):
    """Is known after its end."""

    def __init__(self, runtime: Runtime, *args: Any) -> None:
        super().__init__(replace(runtime, sessions=Forgetful()), *args)  # type: ignore[arg-type]


class Clocked(TcpSession):
    """Leaves a timer."""

    def start(self) -> None:
        super().start()
        self._runtime.clock.callLater(60, print)


class Knotted(TcpSession):
    """Is in a circle with itself."""

    def start(self) -> None:
        self.me = self
        super().start()


class Secretive(TcpSession):
    """Cannot be shown."""

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "client": self._stream}


class Lease:
    """One that is closed so many times."""

    def __init__(self, inner: Any, times: int) -> None:
        self.call = inner.call
        self._inner = inner
        self._times = times

    def close(self) -> None:
        for _ in range(self._times):
            self._inner.close()


class Closes(Plugin):
    """Closes each lease so many times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def factory(self, runtime: Runtime, config: None) -> Any:
        factory = super().factory(runtime, config)
        acquire, times = factory.acquire.acquire, self.times

        class Acquire:
            def try_acquire(self, target: Any) -> None:
                return None

            def acquire(self, target: Any) -> Any:
                return acquire(target).addCallback(Lease, times)

        factory.acquire = Acquire()
        return factory


class Named(Plugin):
    """Has a name that fits nowhere."""

    name = "My Protocol"


class Unversioned(Plugin):
    """Has no version."""

    version = ""


class Lenient(Plugin):
    """Accepts any setting."""

    def configure(self, table: dict[str, Any]) -> None:
        pass


class Consuming(Plugin):
    """Takes its table apart."""

    def configure(self, table: dict[str, Any]) -> None:
        table["seen"] = True
        table.pop("no_such_key", None)


class Blind(Plugin):
    """Does not know its own conversation."""

    detector = staticmethod(lambda prefix: NoMatch())


class Single(Plugin):
    """Has one session for all."""

    def factory(self, runtime: Runtime, config: None) -> Any:
        class Factory(TcpFactory):
            only: list[Any] = []

            def session(self, accepted: Accepted) -> TcpSession:
                self.only.append(super().session(accepted))
                return self.only[0]

        return Factory(runtime, self.name, None)


def broken_promises(one: Any, *tests: str, opening: float | None = None) -> set[str]:
    """Which C{tests} of the contract C{one} fails, or which of all."""
    seconds = opening

    class Tests(PluginContract, SynchronousTestCase):
        plugin = one
        conversation = b"hello\n"
        answer = b"hi\n"
        opening = seconds

    found = set()
    for name in tests or (name for name in dir(Tests) if name.startswith("test_")):
        result = TestResult()
        Tests(name).run(result)
        if not result.wasSuccessful():
            found.add(name)
    return found


class ContractTests(SynchronousTestCase):
    """The contract sees what it is there to see."""

    def tearDown(self) -> None:
        self.flushLoggedErrors()

    def test_kept(self) -> None:
        """A plugin that is in order passes."""
        self.assertEqual(set(), broken_promises(Plugin()))

    def test_broken(self) -> None:
        """Each kind of mistake fails a test that names it."""
        for plugin, test in (
            (Named(), "test_interface"),
            (Unversioned(), "test_interface"),
            (Lenient(), "test_unknown_key"),
            (Consuming(), "test_configure"),
            (Blind(), "test_detector"),
            (Single(), "test_factory"),
            (Plugin(Deaf), "test_bases"),
            (Plugin(Deaf), "test_late_upstream"),
            (Plugin(Plain), "test_tls"),
            (Plugin(Greedy), "test_replay"),
            (Plugin(Fragile), "test_late_upstream"),
            (Plugin(Immortal), "test_abort"),
            (Plugin(Hasty), "test_drain"),
            (Plugin(Unknown), "test_drain"),
            (Plugin(Undead), "test_gone_while_connecting"),
            (Plugin(Clocked), "test_client_ends"),
            (Plugin(Knotted), "test_no_cycles"),
            (Plugin(Secretive), "test_describe"),
            (Closes(0), "test_client_ends"),
            (Closes(2), "test_client_ends"),
        ):
            self.assertEqual({test}, broken_promises(plugin, test), plugin)
