# -*- test-case-name: tests.configfile.profile.test_splits -*-
"""
Who serves in the place of others.
"""

from __future__ import annotations

from lproxy.configfile.profile.splits import circles
from tests.configfile.case import FileTestCase


def service(name: str, *backends: str) -> str:
    listed = ", ".join(f'"{one}"' for one in backends)
    return f'[services."{name}"]\nendpoints = ["127.0.0.1:1"]\n' + (f"backends = [{listed}]\n" if backends else "")


class SplitTests(FileTestCase):
    def test_somebody(self) -> None:
        """A backend is a service, an authority that DNS knows, or the service itself."""
        self.good(service("a:80", "a:80", "b:80", "elsewhere.example:80", "10.0.0.1:80", "[::1]:80") + service("b:80"))

    def test_nobody(self) -> None:
        """What is neither a service nor an authority is an error; so is one of a route."""
        self.says(service("a:80", "v2"), 'services."a:80".backends[0]: "v2" is no [services] table, and no authority')
        self.says(service("a:80", "a b:80"), "and no host name")
        route = '[services."a:80".routes.x]\nbackends = ["bb"]\n'
        self.says(service("a:80") + route, 'services."a:80".routes.x.backends[0]: "bb" is no [services] table')

    def test_nothing_serves(self) -> None:
        """With no endpoints, and itself as its only backend, it serves nobody; with a redirect or others it does."""
        empty = '[services."a:80"]\n'
        self.says(empty + 'backends = ["a:80"]\n', 'warning: services."a:80": has no endpoints')
        for says in ("redirect = { status = 308, host = 'b.example' }", "answer = { status = 503 }"):
            self.good(f'[services."a:80".routes.x]\n{says}\n')
        self.good(empty + '[services."a:80".routes.x]\nbackends = ["b.example:80"]\n')

    def test_bare(self) -> None:
        """A bare name that is no service's is a warning: DNS is hardly to know it."""
        self.says(
            service("a.local:80", "v2:80") + service("v1:80"),
            'warning: services."a.local:80".backends[0]: "v2:80" is no [services] table: DNS is asked for that bare '
            "name, "
            'without any domain; did you mean "v1:80"?',
        )
        self.good(service("a.local:80", "localhost:80"))

    def test_circle(self) -> None:
        """Services that stand in for each other are an error, once for each circle."""
        self.says(
            service("a:80", "b:80")
            + service("b:80", "c:80")
            + service("c:80", "a:80", "c:80")
            + service("d:80", "a:80"),
            'f:1: services."a:80": is served by others in a circle: "a:80" > "b:80" > "c:80" > "a:80"; '
            "let one have endpoints of its own",
        )
        route = '[services."b:80".routes.x]\nbackends = ["a:80"]\n'
        self.says(service("a:80", "b:80") + service("b:80") + route, "in a circle")

    def test_long(self) -> None:
        """A long line of services is no circle, and takes no stack."""
        follow = {str(n): (str(n + 1),) for n in range(5_000)}
        self.assertEqual([], list(circles(follow)))
        self.assertEqual(1, len(list(circles({**follow, "4999": ("0",)}))))
