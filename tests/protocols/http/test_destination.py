# -*- test-case-name: tests.protocols.http.test_destination -*-
"""
L{lproxy.protocols.http.destination}: where requests go that others serve.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.config import Service
from lproxy.identity.policy import Policy
from lproxy.profile import Backend, Path, RetryBudget, Route
from lproxy.protocols.http.destination import Destination, named
from lproxy.protocols.http.message import Request
from lproxy.protocols.http.profile.versions import Versions
from lproxy.target import Authority, ServiceName, Split, Target
from lproxy.transport.stream import Conn
from tests.protocols.http.harness import get, ok
from tests.protocols.http.profile.test_router import ProfiledTestCase

CONN = Conn(("10.0.0.1", 1), ("10.0.0.2", 2))
A, B = Authority("a.test", 80), ServiceName("b")
BACKENDS = (Backend("A.test:80", 9), Backend("b", 1))


class NamedTests(SynchronousTestCase):
    """Whom a profile means."""

    def test_each(self) -> None:
        """An authority, or a table's name that is none."""
        for text, target in (
            ("Web.Local:80", Authority("web.local", 80)),
            ("[::1]:80", Authority("::1", 80)),
            ("web", ServiceName("web")),
            ("web.local.", ServiceName("web.local.")),
        ):
            self.assertEqual(target, named(text))


class SharedTests(ProfiledTestCase):
    """A route whose requests others serve."""

    def share(self, **changes: object) -> Destination:
        """Where its requests go."""
        self.begin(Route("r", Path("/r"), backends=BACKENDS), budget=RetryBudget(0.5))
        self.start(profiles=self.profiles, **changes)
        listener = self.factory.listener
        request = Request(b"GET", b"/r", [], 0, b"web.test", False)
        destination = listener.destination(request, CONN)
        assert destination.router is not None
        plan = destination.router.plan(request)
        share = listener.shared(destination, plan, request, CONN)
        self.assertIs(share, listener.shared(destination, plan, request, CONN))
        self.assertEqual((destination.counter, destination.budget), (share.counter, share.budget))
        self.assertEqual(0.5, share.budget.settings.ratio)
        return share

    def test_split(self) -> None:
        """They go to a split, in the stack of the version that all are spoken to in."""
        share = self.share()
        self.assertEqual(Split(Authority("upstream.test", 9000), ((A, 9), (B, 1))), share.target)
        self.assertIs(self.factory.listener.upstreams.http1, share.acquire)

    def test_versions(self) -> None:
        """Where that differs each has its own."""

        def service(target: Target) -> Service:
            return Service(protocol="http2" if target == A else None, lenient=target == B, proxy=target == A)

        share = self.share(service=service)
        self.assertIsInstance(share.acquire, Versions)
        self.assertEqual((True, False), (share.lenient, share.proxy))

    def test_guards(self) -> None:
        """Whoever may not have one of them is refused; others are not asked about."""

        def policy(target: Target | None) -> Policy:
            return Policy(require=target == B)

        share = self.share(policy=policy)
        self.assertEqual((B,), share.guards)
        client = self.client(get("/r"))
        self.assertRegex(self.heard(client), b"^HTTP/1.1 403 ")
        other = self.client(get("/"))
        self.say(self.up, ok())
        self.assertEqual(ok(), self.heard(other))

    def test_asked(self) -> None:
        """Requests of the route, and no others, are acquired for there; what is shown is whom they ask for."""
        self.share()
        client = self.client()
        for path, target in (("/r", Split), ("/", Authority)):
            self.say(client, get(path))
            self.say(self.up, ok())
            self.assertIsInstance(self.proxy.targets[-1], target)
            self.assertEqual("upstream.test:9000", self.proxy.records[-1]["target"])
