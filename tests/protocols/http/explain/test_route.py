# -*- test-case-name: tests.protocols.http.explain.test_route -*-
"""
C{lproxy explain}, beside what traffic gets.
"""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.profiles import as_of_now
from lproxy.config import Config, Listen, Service
from lproxy.discover.memory import Memory
from lproxy.discover.static import Static
from lproxy.profile import (
    All,
    Answer,
    AnyOf,
    Backend,
    Condition,
    Fields,
    Header,
    Method,
    Not,
    Path,
    Profile,
    Query,
    Rate,
    Redirect,
    Retries,
    RetryBudget,
    Rewrite,
    Route,
    RouteTimeouts,
)
from lproxy.protocols.http.explain.request import asked
from lproxy.protocols.http.explain.route import CannotExplain, Explainer
from tests.protocols.http.harness import OK, get
from tests.protocols.http.profile.test_router import ProfiledTestCase

BOOKS = Route(
    "books", All((Method("GET"), Path("/books", "prefix"))), timeouts=RouteTimeouts(stream=2.0), retries=Retries()
)
OLD = Route("old", Path("/old", "prefix"), redirect=Redirect(301, prefix="/new"))
DOWN = Route("down", Header("x-down"), answer=Answer(503))
API = Route(
    "api",
    Path("/api", "prefix"),
    rewrite=Rewrite(prefix="/v2", host="api.internal"),
    request=Fields((("x-by", "proxy"),)),
    backends=(Backend("v2:80", 3), Backend("gone:80", 1)),
)
PROFILE = Profile((BOOKS, OLD, DOWN, API), budget=RetryBudget(0.25), backends=(Backend("v1:80"),))
LIMITED = Profile(rates=(Rate(1),), backends=(Backend("own:80"),))
SERVICES = {
    "web.local:80": Service(name="web.local:80", endpoints=("127.0.0.1:1",), profile=PROFILE),
    "v2:80": Service(name="v2:80", endpoints=("127.0.0.1:2", "127.0.0.1:3")),
    "own:80": Service(name="own:80", endpoints=("127.0.0.1:4",), profile=LIMITED),
    "front:80": Service(name="front:80", profile=Profile(backends=(Backend("own:80"),))),
}
LISTEN = (
    Listen(name="kafka", address="127.0.0.1:1", protocol="kafka"),
    Listen(name="fixed", address="127.0.0.1:2", target="service:web.local:80"),
    Listen(name="out", address="127.0.0.1:3"),
    Listen(name="dst", address="127.0.0.1:4", target="original-dst"),
    Listen(name="sni", address="127.0.0.1:5", target="sni", redirect_https=True),
)


def explainer(config: Config) -> Explainer:
    """Of what C{config} says, and files that it names."""
    static = Static(config.services, Memory())
    return Explainer(config, static, as_of_now(config, static))


class ExplainTests(SynchronousTestCase):
    maxDiff = None

    def setUp(self) -> None:
        self.explainer = explainer(Config(listen=LISTEN, services=SERVICES))

    def said(self, url: str, *headers: str, method: str = "GET", listener: str | None = None) -> list[str]:
        request = asked(method, url, list(headers))
        found = self.explainer.explain(request, self.explainer.listener(listener))
        return list(self.explainer.lines(request, found))

    def test_route(self) -> None:
        """Listener, target, service, profile; then what each route before has against it, and the one that has it."""
        self.assertEqual(
            [
                "listener          out (127.0.0.1:3), target authority",
                "target            web.local:80",
                'service           [services."web.local:80"], 1 endpoint',
                'profile           [services."web.local:80"], 4 routes',
                "  not             1 books: it is not so that path is /books or below",
                "  not             2 old: it is not so that path is /old or below",
                "  not             3 down: it is not so that has x-down",
                "route             4 api: path is /api or below",
                '                    v2:80: [services."v2:80"], 2 endpoints',
                "                    gone:80: none of the configuration's: by DNS",
                "  backends        v2:80 75 %, gone:80 25 %",
                "  rewrite         /v2 in the prefix's place, host api.internal",
                "  request fields  x-by: proxy",
                "  timeouts        3s to acquire",
                "  retries         where nothing can have come of it, and nowhere else",
                "  retry budget    25 % of the requests of 10s, and 10 a second",
                "sent              GET /v2/x?y=1",
                "                    Host: api.internal",
                "                    x-by: proxy",
            ],
            self.said("http://web.local/api/x?y=1"),
        )

    def test_first(self) -> None:
        """The first route that fits has it; its requests are served by the service's backends where it has none."""
        said = self.said("http://web.local/books/1")
        self.assertIn("route             1 books: method GET and path is /books or below", said)
        self.assertIn("  backends        v1:80 100 %", said)
        self.assertIn("  timeouts        3s to acquire, 2s in all", said)
        self.assertIn(
            "  retries         3 tries at most where the answer is a failure; idempotent methods, bodies up to 64KiB",
            said,
        )

    def test_backends(self) -> None:
        """What a backend says of requests for its own name is not asked for those that it serves for another."""
        line = '                    own:80: [services."own:80"], 1 endpoint'
        self.assertIn(f"{line}; its own profile is not asked", self.said("http://front/"))
        self.assertIn(line, self.said("http://own/"))

    def test_ours(self) -> None:
        """What the proxy answers itself is said as the client gets it."""
        self.assertIn("answered          301 http://web.local/new/x", self.said("http://web.local/old/x"))
        self.assertIn("answered          503", self.said("http://web.local/", "x-down: 1"))

    def test_no_route(self) -> None:
        """Without a route, or a profile, that is said, too."""
        self.assertIn(
            "route             none has it: what holds for the service holds for it", self.said("http://web.local/")
        )
        said = self.said("http://other/")
        self.assertEqual("profile           none: it goes the plain way", said[3])
        self.assertEqual("  timeouts        3s to acquire", said[4])

    def test_refused(self) -> None:
        """What goes nowhere is said with its reason."""
        (line,) = self.said("http://a/", listener="dst")[1:]
        self.assertIn("refused           404: ", line)
        self.assertEqual(
            ["refused           400: refused (host): 'a:0' has no port between 1 and 65535"],
            self.said("http://a:0/")[1:],
        )

    def test_listeners(self) -> None:
        """Where requests do not choose, the listener's own target has them; what it does before is said."""
        self.assertIn("target            web.local:80", self.said("http://else/", listener="fixed"))
        self.assertIn("target            web.local:443", self.said("https://web.local/", listener="sni"))
        self.assertIn("come back by https", " ".join(self.said("http://web.local/", listener="sni")))
        self.assertIn("ends no TLS", " ".join(self.said("https://web.local/")))
        found = self.explainer.explain(asked("GET", "http://a/", []), self.explainer.listener("dst"), ("10.0.0.1", 80))
        self.assertEqual("10.0.0.1:80", str(found.target))
        for name, says in (("none", "there is no listener none"), ("kafka", "listener kafka speaks no HTTP")):
            self.assertIn(says, str(self.assertRaises(CannotExplain, self.explainer.listener, name)))
        only = explainer(Config(listen=LISTEN[:1]))
        self.assertIn("no listener speaks HTTP", str(self.assertRaises(CannotExplain, only.listener)))


class AgreementTests(ProfiledTestCase):
    def condition(self, random: Random, depth: int = 0) -> Condition:
        """Any."""
        path, kinds = random.choice(PATHS), (Path(random.choice(PATHS)), Path(random.choice(PATTERNS), "regex"))
        leaves: list[Condition] = [
            Method(random.choice(METHODS)),
            Path(path, "prefix"),
            *kinds,
            Header(random.choice(NAMES), random.choice((None, "1", "2"))),
            Header(random.choice(NAMES), "[12]+", "regex"),
            Query(random.choice(NAMES), random.choice(("1", "2"))),
        ]
        if depth < 3 and random.random() < 0.5:
            of = tuple(self.condition(random, depth + 1) for _ in range(random.randint(1, 3)))
            return random.choice((All(of), AnyOf(of), Not(of[0])))
        return random.choice(leaves)

    def test_agrees(self) -> None:
        """Whatever the routes and the request, what is explained is what traffic gets."""
        random = Random(14)
        chosen = set()
        for _ in range(150):
            routes = [
                Route(f"r{n}", self.condition(random), answer=Answer(200, f"r{n}")) for n in range(random.randint(1, 8))
            ]
            self.tearDown()
            self.begin(*routes)
            services = {"web.test:80": Service(name="web.test:80", profile=Profile(tuple(routes)))}
            explains = explainer(Config(services=services))
            for _ in range(4):
                method, path = random.choice(METHODS), random.choice(REQUESTED)
                fields = [f"{name}: {random.choice('123')}" for name in NAMES if random.random() < 0.5]
                found = explains.explain(asked(method, f"http://web.test{path}", fields), explains.listener())
                client = self.client(get(path, *fields, method=method))
                if found.route is None or not found.route.name:
                    self.say(self.up, OK)
                    self.assertIsNone(self.routes()[-1])
                else:
                    self.assertEqual(found.route.name, self.routes()[-1], (routes, method, path, fields))
                    chosen.add(found.route.name)
                client.reset()
        self.assertGreater(len(chosen), 5)


METHODS = ("GET", "HEAD", "DELETE")
NAMES = ("x-a", "x-b")
PATHS = ("/", "/a", "/a/b", "/a/b/", "/c")
PATTERNS = ("/a/.*", "/[^/]*", ".*b", "/c?", "/(a|c)/b")
REQUESTED = ("/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/c?x-a=1", "/a?x-b=2&x-b=1", "/%61", "/a/../c", "//a")
