# -*- test-case-name: tests.testing.test_bounds -*-
"""
Tests for L{lproxy.testing.bounds}: sessions that keep too much, wait for ever or do not bear what fails are found out.
"""

from __future__ import annotations

from typing import Any

from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lproxy.api import Accepted
from tests.testing.test_plugins import Plugin, TcpSession, broken_promises


class Hoarder(TcpSession):
    """Reads all that comes, whoever takes it."""

    def start(self) -> None:
        super().start()
        for direction in (self._relay.to_upstream, self._relay.to_client):
            if direction.source is not None:
                direction.source.pause = lambda: None
                direction.source.resume()

    def _acquired(self, lease: Any) -> None:
        super()._acquired(lease)
        source = self._relay.to_client.source
        source.pause = lambda: None


class Leaky(TcpSession):
    """Does not let go where the end of a connection raises."""

    def _ended(self) -> None:
        if self._runtime.access is not None:
            self._runtime.access(self._record())
        super()._ended()


class Unhandled(TcpSession):
    """Has a timer call what may raise."""

    def start(self) -> None:
        super().start()
        self._runtime.clock.callLater(0, self.later)

    def later(self) -> None:
        """It does nothing, until it raises."""


class Deferring(TcpSession):
    """Keeps what it acquired where what it calls then raises."""

    def start(self) -> None:
        self._acquire.acquire(self._runtime.destination(self._stream.conn)).addCallback(self.got).addErrback(self.lost)

    def got(self, lease: Any) -> None:
        self.pass_on()
        lease.close()

    def pass_on(self) -> None:
        """It does nothing, until it raises."""

    def lost(self, failure: Failure) -> None:
        self._runtime.crashed(self._name, failure)


class BoundsTests(SynchronousTestCase):
    """Each kind of mistake fails the test that looks for it."""

    def tearDown(self) -> None:
        self.flushLoggedErrors()

    def test_broken(self) -> None:
        """A plugin that makes it."""
        for kind, test in (
            (Hoarder, "test_bounded_waiting"),
            (Hoarder, "test_bounded_upstream"),
            (Hoarder, "test_bounded_client"),
            (Leaky, "test_sometimes"),
            (Unhandled, "test_faults"),
            (Deferring, "test_faults"),
        ):
            self.assertEqual({test}, broken_promises(Plugin(kind), test), kind)

    def test_opening(self) -> None:
        """Whoever says that a client is waited for no longer than so is taken at the word."""
        self.assertEqual({"test_opening"}, broken_promises(Plugin(), "test_opening", opening=5.0))
        self.assertEqual(set(), broken_promises(Plugin(Impatient), "test_opening", opening=5.0))


class Impatient(TcpSession):
    """Lets go of everybody in time."""

    def __init__(self, runtime: Any, acquire: Any, name: str, accepted: Accepted) -> None:
        super().__init__(runtime, acquire, name, accepted)
        self._end = runtime.clock.callLater(5.0, accepted.stream.abort)
