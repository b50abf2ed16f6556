# -*- test-case-name: tests.protocols.http.profile.test_router -*-
"""
L{lproxy.protocols.http.profile.router}: which requests get which treatment, and how that changes.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from lproxy.profile import Answer, Backend, Path, Profile, Rate, Route
from lproxy.protocols.http.listener import ROUTERS
from lproxy.protocols.http.message import Request
from lproxy.protocols.http.profile.router import ProfileRouter
from lproxy.target import Target
from lproxy.transport.stream import Conn
from tests.protocols.http.harness import HttpTestCase, get, ok
from tests.protocols.http.profile.test_match import asked
from tests.protocols.http.profile.test_plan import CONN, place

BOOKS = Route("books", Path("/books", "prefix"))
AUTHORS = Route("authors", Path("/authors", "prefix"))
#: of requests that are the first's, the other's and nobody's
PATHS = ("/books", "/authors", "/")


class RouterTests(SynchronousTestCase):
    """One profile's."""

    def test_each(self) -> None:
        """Each request has its route's; what no route has has one of its own."""
        router = ProfileRouter(Profile((BOOKS, AUTHORS), backends=(Backend("a"),)), place())
        self.assertEqual(["books", "authors", ""], [router.plan(asked(p)).name for p in ("/books/1", "/authors", "/")])
        self.assertEqual((Backend("a"),), router.plan(asked("/")).route.backends)

    def test_who_serves(self) -> None:
        """A route's requests are served by its own backends, or else by all of the service's."""
        own = Route("own", Path("/own"), backends=(Backend("b"),))
        ours = Route("ours", Path("/ours"), answer=Answer(503))
        router = ProfileRouter(Profile((BOOKS, own, ours), backends=(Backend("a"),)), place())
        served = [router.plan(asked(path)).route.backends for path in ("/books", "/own", "/ours", "/")]
        self.assertEqual([(Backend("a"),), (Backend("b"),), (), (Backend("a"),)], served)

    def test_what_stays(self) -> None:
        """What a new profile says like the one before is the same; what it says otherwise, or first, is new."""
        here = place()
        router = ProfileRouter(Profile((BOOKS, AUTHORS)), here)
        before = {path: router.plan(asked(path)) for path in PATHS}
        changed = Route("books", Path("/books"))
        # what nobody asks of one goes on to the next
        between = ProfileRouter(Profile((BOOKS, AUTHORS)), here, router)
        after = ProfileRouter(Profile((changed, AUTHORS)), here, between)
        same = [before[path] is after.plan(asked(path)) for path in PATHS]
        self.assertEqual([False, True, True], same)
        self.assertIs(before["/books"].counter, after.plan(asked("/books")).counter)

    def test_held(self) -> None:
        """Its routes' counters are held as long as there is a profile with them."""
        here = place()
        before = ProfileRouter(Profile((BOOKS, AUTHORS)), here)
        counters = [before.plan(asked(path)).counter for path in PATHS]
        after = ProfileRouter(Profile((AUTHORS,)), here, before)
        self.assertEqual([False, True, True], [counter.held() for counter in counters])
        after.plan(asked("/authors"))
        after.close()
        self.assertEqual([False] * 3, [counter.held() for counter in counters])

    def test_changed(self) -> None:
        """A route that is another one holds its counter once."""
        here = place()
        counter = ProfileRouter(Profile((BOOKS,)), here).plan(asked("/books")).counter
        before = ProfileRouter(Profile((BOOKS,)), here)
        before.plan(asked("/books"))
        after = ProfileRouter(Profile((Route("books", Path("/books")),)), here, before)
        self.assertIs(counter, after.plan(asked("/books")).counter)
        after.close()
        self.assertTrue(counter.held(), "by the first, which is not closed")
        counter.release()
        self.assertFalse(counter.held())

    def test_unasked(self) -> None:
        """Nothing is made of routes that nobody asks for."""
        here = place()
        router = ProfileRouter(Profile((BOOKS, AUTHORS)), here)
        router.plan(asked("/books"))
        self.assertEqual([True, False, False], [plan is not None for plan in router.plans])

    def test_service_rates(self) -> None:
        """What a service takes is taken of all of its routes together, and what a new profile says holds for all."""
        here = place()
        router = ProfileRouter(Profile((BOOKS, AUTHORS), rates=(Rate(1, 60.0),)), here)
        paths = ("/books", "/authors", "/")

        def passed() -> list[bool]:
            return [router.plan(asked(path)).refuse(asked(path), CONN, 0.0) is None for path in paths]

        self.assertEqual([True, False, False], passed())
        router = ProfileRouter(Profile((BOOKS, AUTHORS)), here, router)
        self.assertEqual([True, True, True], passed())


class ScriptedProfiles:
    """What is said of targets, as a test has it: the same of all."""

    def __init__(self, profile: Profile | None = None) -> None:
        self.profile = profile
        self.error: Exception | None = None
        self.watchers: list[Callable[[], None]] = []

    def of(self, target: Target) -> Profile | None:
        """What it is now."""
        if self.error is not None:
            raise self.error
        return self.profile

    def watch(self, changed: Callable[[], None]) -> Callable[[], None]:
        """Remember whom to tell."""
        self.watchers.append(changed)
        return lambda: self.watchers.remove(changed)

    def change(self, profile: Profile | None) -> None:
        """Say something else."""
        self.profile = profile
        for changed in list(self.watchers):
            changed()


class ProfiledTestCase(HttpTestCase):
    """Tests of a listener whose requests' destinations have a profile."""

    def begin(self, *routes: Route, **settings: object) -> None:
        """Start anew, with a profile of C{routes}."""
        profile = Profile(routes, **settings)  # type: ignore[arg-type]
        self.profiles = ScriptedProfiles(profile)
        self.start(profiles=self.profiles)

    def routes(self) -> list[str | None]:
        """Those of the access log."""
        return [row["route"] for row in self.proxy.records]


class LiveTests(ProfiledTestCase):
    """A listener, whose profiles change."""

    def test_told_apart(self) -> None:
        """Requests are told apart by their routes; one that is under way shows it."""
        self.begin(BOOKS, AUTHORS)
        client = self.client()
        for path in ("/books/1", "/authors?x", "/"):
            self.say(client, get(path))
            self.assertEqual(get(path), self.heard(self.up))
            self.say(self.up, ok())
        self.assertEqual(["books", "authors", None], self.routes())
        self.say(client, get("/books"))
        self.assertEqual("books", self.session().describe()["route"])

    def test_no_profile(self) -> None:
        """Where there is no profile there is no route."""
        client = self.client(get("/books"))
        self.say(self.up, ok())
        self.assertEqual(([None], ok()), (self.routes(), self.heard(client)))

    def test_changed(self) -> None:
        """A new profile holds for the next request; one that is under way, and connections, go on."""
        self.begin(BOOKS)
        client, other = self.client(get("/books")), self.client()
        self.profiles.change(Profile((AUTHORS,)))
        self.say(other, get("/authors"))
        self.say(self.ups[0], ok(b"old"))
        self.say(self.ups[1], ok(b"new"))
        self.assertEqual((ok(b"old"), ok(b"new")), (self.heard(client), self.heard(other)))
        self.assertEqual(["books", "authors"], self.routes())
        self.profiles.change(None)
        self.say(client, get("/books"))
        self.say(self.up, ok())
        self.assertEqual((None, 2), (self.routes()[-1], len(self.ups)))

    def test_no_source(self) -> None:
        """Where it is not to be had what is said of a target its requests go the plain way, and somebody is told."""
        self.begin(BOOKS)
        self.profiles.error = ZeroDivisionError()
        client = self.client(get("/books"))
        self.say(self.up, ok())
        self.assertEqual((ok(), [None]), (self.heard(client), self.routes()))
        self.crashed = 1

    def test_stopped(self) -> None:
        """A listener that is stopped is told no more."""
        self.begin(BOOKS)
        self.assertNotEqual([], self.profiles.watchers)
        self.factory.stop()
        self.assertEqual([], self.profiles.watchers)
        self.factory.start()

    def test_bounded(self) -> None:
        """Clients cannot make it keep more profiles ready than so many: then it begins anew."""
        self.begin()
        self.start(profiles=self.profiles, listen={"target": "authority"})
        listener, conn = self.factory.listener, Conn(("10.0.0.1", 1), ("10.0.0.2", 2))
        for n in range(ROUTERS + 1):
            listener.destination(Request(b"GET", b"/", [], 0, b"web%d.test" % n, False), conn)
        self.assertEqual(1, len(listener._routers))
