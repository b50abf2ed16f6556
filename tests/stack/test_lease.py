# -*- test-case-name: tests.stack.test_lease -*-
"""
Tests for L{lproxy.stack.lease}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.stack.lease import FREE, Hold, ended


class Lease:
    """As a protocol has them."""

    def __init__(self) -> None:
        self.hold: Hold = FREE

    def __repr__(self) -> str:
        return "<a lease>"


class EndedTests(SynchronousTestCase):
    """Leases end once."""

    def test_given_back(self) -> None:
        """What is held for a lease is given back when it ends."""
        hold, leases = Hold(), [Lease() for _ in range(3)]
        for lease in leases:
            lease.hold = hold
            hold.count += 1
        self.assertEqual([True, True], [ended(lease) for lease in leases[:2]])
        self.assertEqual(1, hold.count)

    def test_nothing_held(self) -> None:
        """A lease that is ended before any layer has seen it, as a probe's, holds nothing."""
        self.assertTrue(ended(Lease()))
        self.assertEqual(0, FREE.count)

    def test_twice(self) -> None:
        """One that is ended twice is logged by name, and no count suffers."""
        for hold in (FREE, Hold()):
            lease = Lease()
            lease.hold = hold
            hold.count = before = 5 if hold is not FREE else 0
            self.assertEqual([True, False, False], [ended(lease) for _ in range(3)])
            self.assertEqual(before - (hold is not FREE), hold.count)
        messages = self.logged()
        self.assertEqual(["<a lease> was ended twice"] * 4, messages)

    def logged(self) -> list[str]:
        return self.texts

    def setUp(self) -> None:
        from twisted.logger import formatEvent, globalLogPublisher

        self.texts: list[str] = []

        def observer(event: dict[str, object]) -> None:
            if event.get("log_namespace") == "lproxy.stack.lease":
                self.texts.append(formatEvent(event))

        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
