# -*- test-case-name: tests.protocols.http.profile.test_classes -*-
"""
Tests for L{lproxy.protocols.http.profile.classes}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.profile import All, AnyOf, Condition, Method, Not, ResponseClass, Statuses
from lproxy.protocols.http.profile.classes import Classes


class ClassesTests(SynchronousTestCase):
    """What is a failure."""

    def failures(self, condition: Condition, *statuses: int, failure: bool = True) -> list[bool]:
        """Which of C{statuses} are, where the one class has that condition."""
        classes = Classes((ResponseClass(condition, failure),))
        return [classes.failure(status) for status in statuses]

    def test_default(self) -> None:
        """Without classes: 500 and above; of a call what its own status means; and no answer at all."""
        classes = Classes(())
        self.assertEqual([False, False, True, True], [classes.failure(s) for s in (200, 499, 500, 0)])
        self.assertEqual([False, False, True, True], [classes.failure(200, grpc) for grpc in (0, 5, 13, 14)])
        self.assertTrue(classes.failure(0, 0))

    def test_first(self) -> None:
        """The first that fits decides, either way; what none fits is as for all requests."""
        classes = Classes((ResponseClass(Statuses(404, 404), False), ResponseClass(Statuses(400, 503))))
        self.assertEqual(
            [False, True, True, True, False], [classes.failure(status) for status in (404, 400, 503, 504, 200)]
        )
        self.assertEqual([False], self.failures(Statuses(500, 599), 503, failure=False))

    def test_calls(self) -> None:
        """Classes are of HTTP's status, also of a call; where they say nothing, its own decides."""
        classes = Classes((ResponseClass(Statuses(500, 599)),))
        self.assertEqual([True, False], [classes.failure(200, 14), classes.failure(200, 0)])
        self.assertFalse(Classes((ResponseClass(Statuses(200, 299), False),)).failure(200, 14))

    def test_composed(self) -> None:
        """Conditions may be made of others; the last of a range belongs to it."""
        either = AnyOf((Statuses(400, 400), Statuses(429, 430)))
        self.assertEqual([True, True, True, False], self.failures(either, 400, 429, 430, 431))
        but = All((Statuses(400, 499), Not(Statuses(404, 404))))
        self.assertEqual([True, False, False], self.failures(but, 400, 404, 200))

    def test_of_requests(self) -> None:
        """What is a condition for requests fits no answer."""
        self.assertEqual([False], self.failures(Method("GET"), 200))

    def test_no_answer(self) -> None:
        """No class makes no answer a good one."""
        self.assertEqual([True], self.failures(Not(Statuses(500, 599)), 0, failure=False))
