# -*- test-case-name: tests.protocols.http.explain.test_route -*-
"""
C{lproxy explain}: which listener, service, route and backends a request would get, what would be done about it, and
why.

Nothing here decides anything: the target is found, the profile looked up and the route chosen by what the proxy itself
does that with. Why a route has not got the request is found by asking the same matcher for each part of its condition.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from lproxy.api import fixed_target
from lproxy.config import KEYWORDS, Config, Listen, Service
from lproxy.configfile.listeners import spoken
from lproxy.configfile.units import write_duration
from lproxy.discover.static import Static
from lproxy.errors import ProxyError
from lproxy.explain import words
from lproxy.profile import NO_PROFILE, All, Condition, Profile, RetryBudget, Route, RouteTimeouts
from lproxy.protocols.http.destination import named
from lproxy.protocols.http.explain.request import Asked
from lproxy.protocols.http.message import Request
from lproxy.protocols.http.profile.answer import Elsewhere
from lproxy.protocols.http.profile.edit import edit
from lproxy.protocols.http.profile.match import NONE, Matcher
from lproxy.protocols.http.profile.rewrite import Rewriter
from lproxy.protocols.http.profile.router import served
from lproxy.protocols.http.route import HTTPS_PORT, route
from lproxy.protocols.runtime import Profiles
from lproxy.target import Authority, OriginalDst, Target

HTTP: Final = "http"
#: how far what is said stands to the right
_BESIDE: Final = 18


class CannotExplain(Exception):
    """There is no such listener, or none that speaks HTTP."""


@dataclass(frozen=True)
class Explained:
    """
    What becomes of one request.

    @ivar refused: why it goes nowhere, where it does; then there is neither target nor route
    @ivar service: of the configuration; C{None}: it has none for the target, which is looked up in DNS
    @ivar number: that of the route among the profile's, or L{NONE}
    @ivar route: what holds, with whoever serves it; C{None} without a profile
    """

    listen: Listen
    refused: str = ""
    target: Target | None = None
    service: Service | None = None
    profile: Profile | None = None
    number: int = NONE
    route: Route | None = None


class Explainer:
    """Of one configuration."""

    def __init__(self, config: Config, static: Static, profiles: Profiles) -> None:
        """
        @param static: how C{config}'s services are found
        @param profiles: what is said of them
        """
        self._config = config
        self._static = static
        self._profiles = profiles

    def listener(self, name: str | None = None) -> Listen:
        """
        The listener C{name}, or the first one that speaks HTTP and has requests choose.

        @raise CannotExplain: there is none
        """
        able = [one for one in self._config.listen if HTTP in spoken(one)]
        if name is None:
            free = [one for one in able if one.target == "authority"]
            if not able:
                raise CannotExplain("no listener speaks HTTP")
            return (free or able)[0]
        for one in self._config.listen:
            if one.name == name:
                if one not in able:
                    raise CannotExplain(f"listener {name} speaks no HTTP")
                return one
        raise CannotExplain(f"there is no listener {name}: they are {', '.join(one.name for one in able)}")

    def explain(self, asked: Asked, listen: Listen, to: tuple[str, int] | None = None) -> Explained:
        """
        What becomes of what is C{asked} at C{listen}.

        @param to: where its connection was going before it was redirected, if it was
        """
        connection = self._connection(asked, listen, to)
        try:
            target = route(asked.request, connection, listen.target == "authority", asked.https)
        except ProxyError as error:
            # a request that is none has no target
            return Explained(listen, f"{error.status}: {error if error.target else error.what()}")
        service, profile = self._static.find(target), self._profiles.of(target)
        if profile is None:
            return Explained(listen, target=target, service=service)
        number = Matcher([one.condition for one in profile.routes]).first(asked.request)
        own = profile.routes[number] if number != NONE else Route("")
        return Explained(listen, "", target, service, profile, number, served(own, profile))

    def _connection(self, asked: Asked, listen: Listen, to: tuple[str, int] | None) -> Target | None:
        """Where its connection goes, as far as that is known."""
        if listen.target not in KEYWORDS:
            return fixed_target(listen.target)
        if listen.target == "sni":
            return Authority(asked.host, to[1] if to is not None else asked.port or HTTPS_PORT)
        return OriginalDst(*to) if to is not None else None

    # in words

    def lines(self, asked: Asked, found: Explained) -> Iterator[str]:
        """All of it, for people."""
        listen, request = found.listen, asked.request
        yield _line("listener", f"{listen.name} ({listen.address}), target {listen.target}")
        if asked.https and self._config.tls(listen) == "off":
            yield _line("", "it ends no TLS: what a client asks by https passes it by, as bytes")
        if listen.redirect_https and not asked.https:
            yield _line("", "it has requests by http come back by https (308), before anything else")
        if found.target is None:
            yield _line("refused", found.refused)
            return
        yield _line("target", f"{found.target}")
        yield _line("service", self._served_by(found.service))
        if found.profile is None or found.route is None:
            yield _line("profile", "none: it goes the plain way")
            yield from self._bounds(listen, Route(""), NO_PROFILE)
            return
        profile, own = found.profile, found.route
        source = profile.source or (f'[services."{found.service.name}"]' if found.service is not None else "")
        yield _line("profile", f"{source}, {words.several(len(profile.routes), 'route')}")
        for number, one in enumerate(profile.routes[: found.number] if found.number != NONE else profile.routes, 1):
            yield _line("  not", f"{number} {one.name}: {why_not(request, one.condition)}")
        if found.number == NONE:
            yield _line("route", "none has it: what holds for the service holds for it")
        else:
            yield _line("route", f"{found.number + 1} {own.name}: {words.condition(own.condition)}")
        for backend in own.backends:
            target = named(backend.service)
            own_one = target != found.target and self._profiles.of(target) is not None
            other = "; its own profile is not asked" if own_one else ""
            yield _line("", f"{backend.service}: {self._served_by(self._static.find(target))}{other}")
        for kind, what in words.policies(replace(own, timeouts=RouteTimeouts(), retries=None)):
            yield _line(f"  {kind}", what)
        if own.answer is None and own.redirect is None:
            yield from self._bounds(listen, own, profile)
        for kind, what in words.service(replace(profile, backends=(), budget=None)):
            yield _line(f"  {kind}", what)
        yield from self._sent(asked, own)

    def _bounds(self, listen: Listen, own: Route, profile: Profile) -> Iterator[str]:
        """How long it may take, and how often it is tried, be that the route's or what holds for all."""
        of_all = self._config.timeouts(listen.direction)
        headers, whole = own.timeouts.response_headers, own.timeouts.stream
        timeouts = replace(
            own.timeouts,
            response_headers=headers if headers is not None else of_all.response_headers,
            stream=whole if whole is not None else of_all.stream,
        )
        also = words.timeouts(timeouts)
        yield _line("  timeouts", f"{write_duration(of_all.acquire)} to acquire{', ' if also else ''}{also}")
        plain = "where nothing can have come of it, and nowhere else"
        yield _line("  retries", words.retries(own.retries) if own.retries is not None else plain)
        yield _line("  retry budget", words.budgeted(profile.budget or RetryBudget()))

    def _served_by(self, service: Service | None) -> str:
        if service is None:
            return "none of the configuration's: by DNS"
        return f'[services."{service.name}"], {words.several(len(service.endpoints), "endpoint")}'

    def _sent(self, asked: Asked, own: Route) -> Iterator[str]:
        """What the upstream is sent, or the client is told, where that is not what was asked."""
        request = asked.request
        if own.redirect is not None:
            head, _ = Elsewhere(own.redirect, own.condition, edit(own.response)).to(request, asked.https)
            yield _line("answered", f"{head.status} {dict(head.headers)[b'location'].decode('latin-1')}")
            return
        if own.answer is not None:
            yield _line("answered", f"{own.answer.status}")
            return
        if own.rewrite is None and own.request is None:
            return
        other = Request(
            request.method, request.target, list(request.headers), request.framing, request.authority, request.upgrade
        )
        if own.rewrite is not None:
            Rewriter(own.rewrite, own.condition).apply(other)
        fields = edit(own.request)
        headers = fields.apply(other.headers, False) if fields is not None else other.headers
        yield _line("sent", f"{other.method.decode()} {other.target.decode('latin-1')}")
        for name, value in headers:
            yield _line("", f"{name.decode('latin-1')}: {value.decode('latin-1')}")


def why_not(request: Request, condition: Condition) -> str:
    """Which part of C{condition} C{request} is not."""
    if isinstance(condition, All):
        failed = [one for one in condition.of if not fits(request, one)]
        return why_not(request, failed[0]) if failed else words.condition(condition)
    return f"it is not so that {words.condition(condition, True)}"


def fits(request: Request, condition: Condition) -> bool:
    """Whether C{request} is what C{condition} says."""
    return Matcher([condition]).first(request) != NONE


def _line(what: str, text: str) -> str:
    return f"{what:<{_BESIDE}}{text}" if what else f"{'':<{_BESIDE + 2}}{text}"
