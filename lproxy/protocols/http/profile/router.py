# -*- test-case-name: tests.protocols.http.profile.test_router -*-
"""
The profile router: of the requests to one target, who gets which treatment.

It keeps nothing of requests. A new profile has a new router; what it says like the one before goes on as it was, its
measurements included.
"""

from __future__ import annotations

from dataclasses import replace

from lproxy.profile import Profile, Route
from lproxy.protocols.http.message import Request
from lproxy.protocols.http.profile.match import NONE, Matcher
from lproxy.protocols.http.profile.plan import Place, Plan
from lproxy.protocols.http.profile.sticky import Sticking


def served(route: Route, profile: Profile) -> Route:
    """C{route}, with those who serve it: its own backends, or else the profile's."""
    ours = route.backends or route.answer is not None or route.redirect is not None
    return route if ours or not profile.backends else replace(route, backends=profile.backends)


class ProfileRouter:
    """
    Of one profile.

    A route's plan is made when it is asked for the first time: of ten thousand routes most never are.

    @ivar profile: it
    @ivar plans: those that were asked for, each at its route's number, and last that of what no route has
    @ivar _before: those of the profile before that may go on, by their names, until they are asked for
    """

    __slots__ = ("_before", "_matcher", "_place", "_service", "_sticking", "plans", "profile")

    def __init__(self, profile: Profile, place: Place, before: ProfileRouter | None = None) -> None:
        """
        @param place: where it holds
        @param before: that of the profile which this one follows, and which is over with it
        """
        self.profile = profile
        self.plans: list[Plan | None] = [None] * (len(profile.routes) + 1)
        self._matcher = Matcher([route.condition for route in profile.routes])
        self._place: Place = place
        self._service = place.rates.of(f"service {place.service}", profile.rates)
        self._sticking = Sticking(profile.sticky) if profile.sticky is not None else None
        self._before: dict[str, Plan] = before.by_name() if before is not None else {}
        for name in self._before.keys() - {route.name for route in profile.routes} - {""}:
            self._before.pop(name).close()

    def __repr__(self) -> str:
        return f"<ProfileRouter {len(self.plans) - 1} routes>"

    def close(self) -> None:
        """There is no such profile any more."""
        for plan in self.by_name().values():
            plan.close()

    def by_name(self) -> dict[str, Plan]:
        """All that hold something."""
        return self._before | {plan.name: plan for plan in self.plans if plan is not None}

    def plan(self, request: Request) -> Plan:
        """That of the first route that fits C{request}."""
        # of none it is the last: -1
        number = self._matcher.first(request)
        plan = self.plans[number]
        return plan if plan is not None else self._made(number)

    def _made(self, number: int) -> Plan:
        profile = self.profile
        own = profile.routes[number] if number != NONE else Route("")
        route = served(own, profile)
        before = self._before.pop(route.name, None)
        if before is not None and before.route == route:
            plan = before
        else:
            plan = Plan(route, self._place)
            if before is not None:
                before.close()
        plan.join(self._service, self._sticking)
        self.plans[number] = plan
        return plan
