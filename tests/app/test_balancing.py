# -*- test-case-name: tests.app.test_balancing -*-
"""
Tests for L{lproxy.app.balancing}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.balancing import balancing, checked
from lproxy.balancing import Balancing, HealthCheck
from lproxy.config import Config, Limits, Listen, Service
from lproxy.profile import Backend, Profile, Route
from lproxy.protocols.runtime import NoProfiles
from lproxy.target import Authority, ServiceName, Target

CHECK = HealthCheck("http", "/healthz")


class BalancingTests(SynchronousTestCase):
    """What is said for all, and what a service says itself."""

    config = Config(balancing=Balancing(failure_ratio=0.3, zone="here"), limits=Limits(max_failures=7))

    def test_all(self) -> None:
        """A service that says nothing goes by what is said for all."""
        wanted = Balancing(failure_ratio=0.3, zone="here", max_failures=7)
        self.assertEqual(wanted, balancing(self.config, Service("web")))

    def test_own(self) -> None:
        """What it says goes before that."""
        own = Service("web", max_failures=0, failure_ratio=0.9, max_ejected=0.1, slow_start=30.0)
        found = balancing(self.config, own)
        self.assertEqual(
            (0, 0.9, 0.1, 30.0), (found.max_failures, found.failure_ratio, found.max_ejected, found.slow_start)
        )

    def test_host(self) -> None:
        """Checks ask for the service's name, where clients could as well; unless they are told for whom."""
        for name, host in (("Web.local:80", "web.local:80"), ("web", ""), ("[::1]:80", "[::1]:80")):
            check = balancing(self.config, Service(name, health=CHECK)).check
            assert check is not None
            self.assertEqual(host, check.host)
        told = HealthCheck(host="other")
        self.assertEqual(told, balancing(self.config, Service("web:80", health=told)).check)


class CheckedTests(SynchronousTestCase):
    """Whose endpoints are checked from the start, listener by listener."""

    services = {  # noqa: RUF012 - nobody changes it
        name: Service(name, health=CHECK if "unchecked" not in name else None)
        for name in ("web:80", "unchecked:80", "app", "unchecked")
    }

    def of(self, target: str, said: dict[Target, Profile] | None = None) -> list[Target]:
        """By a listener of that C{target}, where files say that."""
        profiles = Said(self.services, said or {})
        return list(checked(Listen("out", "127.0.0.1:1", target=target), self.services, profiles))

    def test_by_name(self) -> None:
        """By authority or SNI, whoever can be asked for."""
        self.assertEqual([Authority("web", 80)], self.of("authority"))
        self.assertEqual([Authority("web", 80)], self.of("sni"))

    def test_fixed(self) -> None:
        """With one target, that."""
        self.assertEqual([ServiceName("app")], self.of("service:app"))
        self.assertEqual([ServiceName("web:80")], self.of("service:web:80"))
        self.assertEqual([Authority("web", 80)], self.of("web:80"))
        self.assertEqual([], self.of("service:unchecked"))
        self.assertEqual([], self.of("other:80"))

    def test_behind(self) -> None:
        """Who serves in the place of another that can be asked for, by its profile, is as well."""
        backends = Backend("app"), Backend("unchecked"), Backend("WEB:80")
        profile = Profile((Route("r", backends=backends),))
        self.services = {**self.services, "shop": Service("shop", profile=profile)}
        self.assertEqual([Authority("web", 80), ServiceName("app")], self.of("authority"))
        self.assertEqual([Authority("web", 80), ServiceName("app")], self.of("service:shop"))
        self.assertEqual([ServiceName("app")], self.of("service:app"))

    def test_behind_by_files(self) -> None:
        """So is who does that as a file has it, of a service with a table of its own or without."""
        said: dict[Target, Profile] = {
            Authority("shop", 80): Profile(backends=(Backend("web:80"),)),
            ServiceName("app"): Profile(backends=(Backend("app"), Backend("web:80"), Backend("unchecked:80"))),
        }
        self.assertEqual([Authority("web", 80)], self.of("shop:80", said))
        self.assertEqual([Authority("web", 80), ServiceName("app")], self.of("service:app", said))
        self.assertEqual([], self.of("shop:81", said))

    def test_redirected(self) -> None:
        """By original destination, nobody."""
        profile = Profile((Route("r", backends=(Backend("app"),)),))
        self.services = {**self.services, "shop:80": Service("shop:80", profile=profile)}
        self.assertEqual([], self.of("original-dst"))


class Said(NoProfiles):
    """What the configuration says, and else files."""

    def __init__(self, services: dict[str, Service], files: dict[Target, Profile]) -> None:
        self._services = services
        self._files = files

    def of(self, target: Target) -> Profile | None:
        service = self._services.get(target.name) if isinstance(target, ServiceName) else None
        return service.profile if service is not None and service.profile is not None else self._files.get(target)
