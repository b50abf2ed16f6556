# -*- test-case-name: tests.protocols.http.profile.test_match -*-
"""
L{lproxy.protocols.http.profile.match}: which route has a request.
"""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from lproxy.profile import ALWAYS, All, AnyOf, Condition, Header, Method, Not, Path, Query, Statuses
from lproxy.profiles.patterns import matches
from lproxy.protocols.http.message import Headers, Request
from lproxy.protocols.http.profile.match import NONE, Matcher


def asked(target: str = "/", method: str = "GET", *fields: tuple[str, str], host: str = "web.test") -> Request:
    """A request."""
    headers: Headers = [(name.encode(), value.encode()) for name, value in fields]
    return Request(method.encode(), target.encode(), headers, 0, host.encode(), False)


class MatcherTests(SynchronousTestCase):
    """The first route that fits."""

    def first(self, request: Request, *conditions: Condition) -> int:
        """Which of them."""
        return Matcher(conditions).first(request)

    def test_order(self) -> None:
        """Where several fit it is the first; where none does there is none."""
        routes = (Path("/a"), All((Method("GET"), Path("/[ab]", "regex"))), Path("/b"))
        self.assertEqual([0, 1, NONE], [self.first(asked(path), *routes) for path in ("/a", "/b", "/c")])
        self.assertEqual([0, 2], [self.first(asked(path, "PUT"), *routes) for path in ("/a", "/b")])
        self.assertEqual(0, self.first(asked("/c"), ALWAYS, *routes))
        self.assertEqual(NONE, self.first(asked()))

    def test_paths(self) -> None:
        """As a whole; whole segments; all of it, without the query."""
        prefix, root = Path("/api/", "prefix"), Path("/", "prefix")
        for path, fits in (("/api", True), ("/api/x?y", True), ("/api/", True), ("/apis", False), ("/", False)):
            self.assertEqual(fits, self.first(asked(path), prefix) == 0, path)
            self.assertEqual(0, self.first(asked(path), root))
        self.assertEqual(NONE, self.first(asked("*", "OPTIONS"), root))
        pattern = Path("/books/[^/]+", "regex")
        for path, fits in (("/books/1?x=/", True), ("/books/", False), ("/books/1/2", False), ("/x/books/1", False)):
            self.assertEqual(fits, self.first(asked(path), pattern) == 0, path)

    def test_spellings(self) -> None:
        """A path has one route, however it is spelt; so has a condition."""
        routes = (Path("/admin", "prefix"), Path("/a%2fb"), Path("/~x"))
        for path in ("/%61dmin", "/x/../admin/y", "/./admin", "/admin/."):
            self.assertEqual(0, self.first(asked(path), *routes), path)
        for path in ("/a%2Fb", "/a%2fb"):
            self.assertEqual(1, self.first(asked(path), *routes))
        self.assertEqual(NONE, self.first(asked("/a/b"), *routes))
        self.assertEqual(2, self.first(asked("/%7ex"), *routes))
        routes = (Path("/caf\xe9"), Path("/a b", "prefix"), Path("/\u65e5"))
        paths = ("/caf%C3%A9", "/caf%c3%a9", "/a%20b/c", "/%E6%97%A5")
        self.assertEqual([0, 0, 1, 2], [self.first(asked(path), *routes) for path in paths])

    def test_never(self) -> None:
        """No request is one of nothing, or has a status."""
        for condition in (AnyOf(()), Statuses(100, 599), All((Path("/"), Statuses(100, 599)))):
            self.assertEqual(NONE, self.first(asked(), condition))

    def test_methods(self) -> None:
        """However many methods there are, each has its routes."""
        for number in (2, 100):
            routes = [Method(f"M{n}") for n in range(number)] + [Path("/a")]
            self.assertEqual(1, self.first(asked("/a", "M1"), *routes))
            self.assertEqual(number, self.first(asked("/a"), *routes))
            self.assertEqual(NONE, self.first(asked("/b"), *routes))

    def test_deep(self) -> None:
        """Paths are told apart however far they are alike, and however their routes say so."""
        deep = "/a" * 20
        for path in (Path(deep), Path(deep, "prefix"), Path(deep, "regex"), Path(f"{deep}/[^/]+", "regex")):
            tail = "/b" if "[" in path.value else ""
            self.assertEqual(0, self.first(asked(deep + tail), path), path)
            self.assertEqual(NONE, self.first(asked(deep[2:]), path), path)
            self.assertEqual(NONE, self.first(asked(deep + "x" + tail), path), path)

    def test_as_if_each_was_asked(self) -> None:
        """Whatever conditions are made of, it is what one finds who asks all routes in turn."""
        random = Random(7)
        for _ in range(300):
            conditions = [_condition(random, 3) for _ in range(random.randrange(1, 9))]
            matcher = Matcher(conditions)
            for _ in range(40):
                request = _request(random)
                expected = [n for n, one in enumerate(conditions) if _fits(one, request)][:1] or [NONE]
                self.assertEqual(expected, [matcher.first(request)], (request, conditions))

    def test_thousands(self) -> None:
        """Ten thousand routes are told apart like ten, also where they all begin alike."""
        for begins in ("/v{}", "/v"):
            paths = [f"{begins.format(n)}/[^/]+/x{n}" for n in range(10_000)]
            matcher = Matcher([All((Method("GET"), Path(path, "regex"))) for path in paths])
            for n in (0, 1, 4_999, 9_999):
                self.assertEqual(n, matcher.first(asked(f"{begins.format(n)}/abc/x{n}")))
            self.assertEqual(NONE, matcher.first(asked("/v1/abc/y2")))


WORDS = ("a", "b", "ab", "")
METHODS = ("GET", "PUT", "POST")


def _path(random: Random) -> str:
    return "/" + "/".join(random.choice(WORDS) for _ in range(random.randrange(1, 4)))


def _condition(random: Random, depth: int) -> Condition:
    kind = random.randrange(9 if depth else 6)
    if kind == 0:
        return Method(random.choice(METHODS))
    if kind == 1:
        return Path(_path(random))
    if kind == 2:
        return Path(_path(random), "prefix")
    if kind == 3:
        return Path(random.choice(("/a/[^/]*", "/[ab]+", "/.*b", "/a(/b)?", "(/a|/b)/?", "/ab/.*")), "regex")
    if kind == 4:
        return Header("x", random.choice((None, "1", "2")))
    if kind == 5:
        return Query("q", random.choice(("1", "2")))
    of = tuple(_condition(random, depth - 1) for _ in range(random.randrange(4)))
    if kind == 6:
        return All(of)
    return AnyOf(of) if kind == 7 else Not(_condition(random, depth - 1))


def _request(random: Random) -> Request:
    target = _path(random) + random.choice(("", "?q=1", "?q=2&q=1"))
    fields = [("X", random.choice("12"))] if random.random() < 0.5 else []
    return asked(target, random.choice((*METHODS, "HEAD")), *fields)


def _fits(condition: Condition, request: Request) -> bool:
    """One condition, by itself and as it reads; of what is made here alone."""
    path, _, query = request.target.decode().partition("?")
    if isinstance(condition, Method):
        return request.method.decode() == condition.name
    if isinstance(condition, Path):
        if condition.kind == "regex":
            return bool(matches(condition.value)(path.encode()))
        if condition.kind == "prefix":
            return (path + "/").startswith(condition.value.rstrip("/") + "/")
        return path == condition.value
    if isinstance(condition, Header):
        values = [value.decode() for _, value in request.headers]
        return bool(values) and condition.value in (None, *values)
    if isinstance(condition, Query):
        return query.partition("&")[0] == f"q={condition.value}"
    if isinstance(condition, All):
        return all(_fits(one, request) for one in condition.of)
    if isinstance(condition, AnyOf):
        return any(_fits(one, request) for one in condition.of)
    assert isinstance(condition, Not)
    return not _fits(condition.of, request)
