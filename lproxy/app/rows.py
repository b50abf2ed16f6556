# -*- test-case-name: tests.app.test_rows -*-
"""
What there is to show of services: in short of all of them, of which there may be thousands, and everything of some.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from twisted.python.failure import Failure

from lproxy.app.outbound import Lower
from lproxy.app.share import Share, StackKey, owner
from lproxy.balancing import place
from lproxy.stack.interfaces import Service
from lproxy.target import ServiceName, Target

#: what there is to show of a target's profile
Said = Callable[[Target], dict[str, Any] | None]


def nothing(target: Target) -> dict[str, Any] | None:
    """No target has a profile."""
    return None


class Standing(NamedTuple):
    """
    How a service does.

    @ivar target: what it serves
    @ivar serves: whether it does, as far as is known
    @ivar ailing: endpoints that are passed over
    @ivar busy: leases that are out, or waited for
    @ivar row: all that there is to show of it; C{None} where that cannot be told
    """

    target: str
    serves: bool
    ailing: int
    busy: int
    row: Callable[[], dict[str, Any] | None]


def _none(target: Target) -> int | None:
    return None


class ServiceRows:
    """Of a proxy's services."""

    def __init__(
        self,
        lower: Mapping[StackKey, Lower[Any]],
        now: Callable[[], Share | None],
        failed: Callable[[str, Failure], None],
        left: Callable[[Target], int | None] = _none,
    ) -> None:
        """
        @param now: what the stacks go by
        @param failed: told of what a protocol raises when it is asked, by its name
        @param left: of a target, what is left of its service's budget for retries
        """
        self._left = left
        self._lower = lower
        self._now = now
        self._failed = failed

    def standings(self, wanted: str = "", said: Said = nothing) -> list[Standing]:
        """
        How all do that are used.

        @param wanted: what is in their names
        """
        found = []
        for key, lower in self._lower.items():
            for target, service in lower.services():
                name = str(target)
                if wanted in name:
                    row = partial(self._row, key, lower, target, service, said)
                    found.append(Standing(name, service.serves(), service.ailing(), service.busy(), row))
        return found

    def _row(
        self, key: StackKey, lower: Lower[Any], target: Target, service: Service[Any], said: Said
    ) -> dict[str, Any] | None:
        """Endpoints are a protocol's, and what they raise costs the row."""
        direction, protocol = key
        try:
            row = lower.row(target, service)
        except BaseException:
            self._failed(owner(protocol), Failure())
            return None
        left = self._left(target)
        budget = {} if left is None else {"retry_budget_left": left}
        return {"direction": direction, "protocol": protocol, **row, **budget, **_profile(said(target))}

    def unused(self, wanted: str = "", said: Said = nothing) -> Iterator[dict[str, Any]]:
        """Services of the configuration that nobody uses, at least not themselves but their backends (C{split})."""
        now = self._now()
        if now is None:
            return
        rest = {name: service for name, service in now.config.services.items() if wanted in name}
        for lower in self._lower.values():
            for target, _ in lower.services():
                if (found := now.static.find(target)) is not None:
                    rest.pop(found.name, None)
        for name, service in rest.items():
            endpoints = [{"address": place(one).address} for one in service.endpoints]
            profile = said(ServiceName(name))
            # others serve it, and have rows of their own
            state = "split" if profile and profile.get("backends") and not endpoints else "unused"
            row = {"target": name, "state": state, "in_flight": 0, "waiters": 0, "endpoints": endpoints}
            yield row | _profile(profile)

    def describe(self, wanted: str = "", said: Said = nothing) -> Iterator[dict[str, Any]]:
        """Rows of C{/services}: state, endpoints, who waits. Last, those of the configuration that nobody uses."""
        for standing in self.standings(wanted, said):
            row = standing.row()
            if row is not None:
                yield row
        yield from self.unused(wanted, said)


def _profile(said: dict[str, Any] | None) -> dict[str, Any]:
    return {} if said is None else {"profile": said}
