# -*- test-case-name: tests.stack.test_lease -*-
"""
Tests for L{lproxy.stack.lease}.
"""

from __future__ import annotations

from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lproxy.stack.lease import FREE, EndedTwice, Hold, ended


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
        self.assertEqual(4, len(messages))
        for message in messages:
            self.assertRegex(
                message,
                r"\A<a lease> was ended twice, the second time by tests\.stack\.test_lease\..*test_twice.*, line \d+\Z",
            )

    def test_told(self) -> None:
        """Where somebody wants to be told of that, he is, instead of the log."""
        told: list[Failure] = []
        hold, lease = Hold(told=told.append), Lease()
        hold.take(lease)
        self.assertEqual([True, False], [ended(lease) for _ in range(2)])
        self.assertEqual((0, [EndedTwice], []), (hold.count, [failure.type for failure in told], self.logged()))

    def test_part(self) -> None:
        """Who holds a part holds the whole, once."""
        whole = Hold()
        parts, leases = [Hold(whole) for _ in range(2)], [Lease() for _ in range(3)]
        for lease, part in zip(leases, (*parts, parts[0]), strict=True):
            part.take(lease)
        self.assertEqual((3, 2, 1), (whole.count, parts[0].count, parts[1].count))
        self.assertEqual([True, False, True], [ended(lease) for lease in (leases[0], leases[0], leases[1])])
        self.assertEqual((1, 1, 0), (whole.count, parts[0].count, parts[1].count))
        parts[0].give_back()
        self.assertEqual((0, 0), (whole.count, parts[0].count))

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
