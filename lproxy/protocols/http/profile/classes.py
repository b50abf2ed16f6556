# -*- test-case-name: tests.protocols.http.profile.test_classes -*-
"""
Whether an answer counts as a failure: as its route's classes say, and else as for all requests.
"""

from __future__ import annotations

from typing import Final

from lproxy.profile import All, AnyOf, Condition, Not, ResponseClass, Statuses
from lproxy.protocols.http.grpc import NO_CALL, http_status


class Classes:
    """
    A route's L{ResponseClass}es.

    @ivar _said: of statuses that were asked for; there are a thousand at most
    """

    __slots__ = ("_classes", "_said")

    def __init__(self, classes: tuple[ResponseClass, ...]) -> None:
        self._classes: tuple[ResponseClass, ...] = classes
        self._said: dict[int, bool | None] = {}

    def failure(self, status: int, grpc: int = NO_CALL) -> bool:
        """
        Whether an answer is one.

        @param status: of HTTP; zero: there was none
        @param grpc: what came of it, where it was a call; NO_CALL where it was none, or nobody knows yet
        """
        if self._classes:
            if status in self._said:
                said = self._said[status]
            else:
                said = self._said[status] = self._look(status)
            if said is not None:
                return said
        judged = status if grpc == NO_CALL or not status else http_status(grpc)
        return judged >= 500 or not judged

    def _look(self, status: int) -> bool | None:
        for one in self._classes:
            if status and _fits(one.condition, status):
                return one.failure
        return None


#: of a route that has none
NO_CLASSES: Final = Classes(())


def _fits(condition: Condition, status: int) -> bool:
    if isinstance(condition, Statuses):
        return condition.first <= status <= condition.last
    if isinstance(condition, All):
        return all(_fits(one, status) for one in condition.of)
    if isinstance(condition, AnyOf):
        return any(_fits(one, status) for one in condition.of)
    # others are of requests, and say nothing of an answer
    return isinstance(condition, Not) and not _fits(condition.of, status)
