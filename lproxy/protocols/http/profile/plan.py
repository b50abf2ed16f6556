# -*- test-case-name: tests.protocols.http.profile.test_plan -*-
"""
What becomes of the requests of one route: all that a profile says of it, ready to be done.
"""

from __future__ import annotations

from lproxy.profile import Route


class Plan:
    """
    Of one route, or of the requests that no route has.

    @ivar route: what the profile says
    @ivar name: the route's; empty: it is none
    """

    __slots__ = ("name", "route")

    def __init__(self, route: Route) -> None:
        self.route = route
        self.name = route.name

    def __repr__(self) -> str:
        return f"<Plan {self.name!r}>"
