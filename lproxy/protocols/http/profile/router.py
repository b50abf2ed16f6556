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
from lproxy.protocols.http.profile.match import Matcher
from lproxy.protocols.http.profile.plan import Place, Plan
from lproxy.protocols.http.profile.sticky import Sticking


def served(route: Route, profile: Profile) -> Route:
    """C{route}, with those who serve it: its own backends, or else the profile's."""
    ours = route.backends or route.answer is not None or route.redirect is not None
    return route if ours or not profile.backends else replace(route, backends=profile.backends)


class ProfileRouter:
    """
    Of one profile.

    @ivar profile: it
    @ivar plans: its routes', in their order, and last that of what no route has
    """

    __slots__ = ("_matcher", "plans", "profile")

    def __init__(self, profile: Profile, place: Place, before: ProfileRouter | None = None) -> None:
        """
        @param place: where it holds
        @param before: that of the profile which this one follows, and which is over with it
        @raise BadPattern: a regular expression is none
        """
        self._matcher = Matcher([route.condition for route in profile.routes])
        known = {plan.route: plan for plan in before.plans} if before is not None else {}
        routes = [*(served(route, profile) for route in profile.routes), Route("", backends=profile.backends)]
        self.profile = profile
        self.plans: list[Plan] = [known.pop(route) if route in known else Plan(route, place) for route in routes]
        for gone in known.values():
            gone.close()
        service = place.rates.of(f"service {place.service}", profile.rates)
        sticking = Sticking(profile.sticky) if profile.sticky is not None else None
        for plan in self.plans:
            plan.join(service, sticking)

    def __repr__(self) -> str:
        return f"<ProfileRouter {len(self.plans) - 1} routes>"

    def close(self) -> None:
        """There is no such profile any more."""
        for plan in self.plans:
            plan.close()

    def plan(self, request: Request) -> Plan:
        """That of the first route that fits C{request}."""
        # of none it is the last: -1
        return self.plans[self._matcher.first(request)]
