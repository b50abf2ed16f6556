# -*- test-case-name: tests.protocols.http.profile.test_rewrite -*-
"""
Tests for L{lproxy.protocols.http.profile.rewrite}.
"""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from lproxy.profile import ALWAYS, All, AnyOf, Condition, Method, Not, Path, Rewrite
from lproxy.protocols.http.message import Request
from lproxy.protocols.http.profile.match import Matcher
from lproxy.protocols.http.profile.rewrite import NewPath, Rewriter, prefixes
from lproxy.protocols.http.profile.seen import path_of


def under(prefix: str) -> Condition:
    return Path(prefix, "prefix")


class PrefixTests(SynchronousTestCase):
    """By which prefix a route was chosen."""

    def test_found(self) -> None:
        """All that a condition asks for, but not what it excludes, and no whole paths."""
        condition = All((Method("GET"), AnyOf((under("/a"), under("/b"), Path("/c"))), Not(under("/d"))))
        self.assertEqual(["/a", "/b"], prefixes(condition))

    def test_none(self) -> None:
        """A route that asks for something else was chosen by what all paths begin with."""
        for condition in (ALWAYS, Method("GET"), Path("/a"), Path("/.*", "regex")):
            self.assertEqual([""], prefixes(condition))


class NewPathTests(SynchronousTestCase):
    """Another path."""

    def test_prefix(self) -> None:
        """Whole segments are replaced, however many slashes are written (Gateway API, HTTPPathModifier)."""
        for path, prefix, new, expected in (
            (b"/foo/bar", "/foo", "/xyz", b"/xyz/bar"),
            (b"/foo/bar", "/foo", "/xyz/", b"/xyz/bar"),
            (b"/foo/bar", "/foo/", "/xyz", b"/xyz/bar"),
            (b"/foo/bar", "/foo/", "/xyz/", b"/xyz/bar"),
            (b"/foo", "/foo", "/xyz", b"/xyz"),
            (b"/foo/", "/foo", "/xyz", b"/xyz/"),
            (b"/foo/bar", "/foo", "", b"/bar"),
            (b"/foo/", "/foo", "", b"/"),
            (b"/foo", "/foo", "", b"/"),
            (b"/foo/", "/foo", "/", b"/"),
            (b"/foo", "/foo", "/", b"/"),
            (b"/bar", "/", "/v1", b"/v1/bar"),
            (b"/", "/", "/v1", b"/v1/"),
            (b"/foobar", "/foo", "/xyz", b"/foobar"),
            (b"/other", "/foo", "/xyz", b"/other"),
        ):
            self.assertEqual(expected, NewPath(None, new, under(prefix)).of(path), (path, prefix, new))

    def test_longest(self) -> None:
        """Of several prefixes the longest is the one."""
        path = NewPath(None, "/x", AnyOf((under("/a"), under("/a/b"))))
        self.assertEqual([b"/x/c", b"/x/c", b"/x"], [path.of(p) for p in (b"/a/c", b"/a/b/c", b"/a/b")])

    def test_no_prefix(self) -> None:
        """A route for all requests puts it before all paths."""
        self.assertEqual(b"/v1/a", NewPath(None, "/v1", ALWAYS).of(b"/a"))

    def test_query(self) -> None:
        """The query is nobody's to change, whatever is in it."""
        for query in (b"", b"?", b"?a=b", b"?a?b=/foo/x", b"?%zz", b"?//"):
            self.assertEqual(b"/x/y" + query, NewPath(None, "/x", under("/foo")).of(b"/foo/y" + query))
            self.assertEqual(b"/z" + query, NewPath("/z", None, ALWAYS).of(b"/foo/y" + query))

    def test_escapes(self) -> None:
        """What is not replaced stays byte by byte: escapes, dots and double slashes mean something to somebody."""
        path = NewPath(None, "/x", under("/foo"))
        for rest in (
            b"/a%2e%2E",
            b"//a",
            b"/.well-known",
            b"/...",
            b"/a;b=c",
            b"/%C3%A9",
            b"/%61",
            b"/" + b"a" * 8_000,
        ):
            self.assertEqual(b"/x" + rest, path.of(b"/foo" + rest))

    def test_normal(self) -> None:
        """A prefix is replaced however it is spelt, and nothing gets out of what takes its place."""
        path = NewPath(None, "/x", under("/f%6Fo"))
        self.assertEqual(b"/x/a?%66", path.of(b"/%66oo/a?%66"))
        self.assertEqual(b"/x/a", path.of(b"/b/../foo/a"))
        self.assertEqual(b"/x/b", path.of(b"/foo/a/../b"))
        self.assertEqual(b"/x/b", path.of(b"/foo/%2e%2e/foo/b"))
        self.assertEqual([b"/x/", b"/x/"], [NewPath(None, "/x", ALWAYS).of(p) for p in (b"/..", b"/%2E%2e")])

    def test_below(self) -> None:
        """Whatever is asked for, if the prefix was that of its route it stays below what takes its place."""
        random = Random(3)
        pieces = (b"/", b"a", b"%61", b"%2F", b"..", b".", b"//", b"%", b"%zz", b"\xff", b"%2e", b"a/", b"/a", b"/..")
        conditions = (ALWAYS, under("/a"), under("/a/a"), AnyOf((under("/a"), under("/aa"))))
        for _ in range(3_000):
            target = b"/" + b"".join(random.choice(pieces) for _ in range(random.randrange(7)))
            condition = random.choice(conditions)
            new = NewPath(None, "/x", condition).of(target + b"?q=/..")
            self.assertTrue(new.startswith(b"/") and new.endswith(b"?q=/.."))
            if Matcher([condition]).first(Request(b"GET", target, [], 0, b"web", False)) == 0:
                self.assertRegex(path_of(new), rb"^/x(/|$)", (target, condition))

    def test_no_path(self) -> None:
        """What is no path stays."""
        for target in (b"*", b"a:80", b"", b"?a"):
            for path in (NewPath("/x", None, ALWAYS), NewPath(None, "/x", ALWAYS), NewPath(None, None, ALWAYS)):
                self.assertEqual(target, path.of(target))

    def test_stays(self) -> None:
        """Who says nothing changes nothing."""
        self.assertEqual(b"/a?b", NewPath(None, None, under("/a")).of(b"/a?b"))


class RewriterTests(SynchronousTestCase):
    """Requests."""

    def rewritten(self, rewrite: Rewrite, request: Request, condition: Condition = ALWAYS) -> Request:
        """C{request}, after it."""
        Rewriter(rewrite, condition).apply(request)
        return request

    def test_http1(self) -> None:
        """The target, and the one Host that there is."""
        request = Request(b"GET", b"/a/b?c", [(b"A", b"1"), (b"HOST", b"web"), (b"B", b"2")], 0, b"web", False)
        self.rewritten(Rewrite(prefix="/x", host="api.local:81"), request, under("/a"))
        self.assertEqual(b"/x/b?c", request.target)
        self.assertEqual([(b"Host", b"api.local:81"), (b"A", b"1"), (b"B", b"2")], request.headers)

    def test_http2(self) -> None:
        """The path, and the authority; there is no Host."""
        request = Request(b"GET", b"/a", [(b"a", b"1")], 0, b"web", False)
        request.stream_id = 1
        self.rewritten(Rewrite(path="/x", host="api"), request)
        self.assertEqual((b"/x", b"api", [(b"a", b"1")]), (request.target, request.authority, request.headers))

    def test_host_alone(self) -> None:
        """The path stays, also of what has none."""
        request = self.rewritten(Rewrite(host="api"), Request(b"OPTIONS", b"*", [(b"Host", b"a")], 0, b"a", False))
        self.assertEqual((b"*", [(b"Host", b"api")]), (request.target, request.headers))

    def test_asked(self) -> None:
        """What the client has asked for is not lost."""
        request = self.rewritten(Rewrite(path="/x"), Request(b"GET", b"/a?b", [], 0, b"web", False))
        self.assertEqual((b"web", b"/a?b"), request.asked)

    def test_absolute(self) -> None:
        """A proxy is asked in absolute form for the same."""
        for target, rewrite, expected in (
            (b"http://web:80/a/b?c", Rewrite(prefix="/x", host="api"), b"http://api/x/b?c"),
            (b"https://web/a", Rewrite(prefix="/x", host="api"), b"https://api/x"),
            (b"http://web", Rewrite(path="/z"), b"http://web/z"),
            (b"http://web?q", Rewrite(path="/z"), b"http://web/z?q"),
            (b"http://web:8080/a/b", Rewrite(host="api"), b"http://api/a/b"),
        ):
            request = Request(b"GET", target, [(b"Host", b"web")], 0, b"web:80", False)
            self.assertEqual(expected, self.rewritten(rewrite, request, under("/a")).target)
        request = Request(b"OPTIONS", b"http://web", [(b"Host", b"web")], 0, b"web:80", False)
        self.assertEqual(b"http://api", self.rewritten(Rewrite(path="/z", host="api"), request).target)

    def test_connect(self) -> None:
        """Who asks for a connection gets it to where it is asked for; a WebSocket of HTTP/2 has a path like others."""
        request = Request(b"CONNECT", b"db:5432", [(b"Host", b"db:5432")], 0, b"db:5432", False)
        self.rewritten(Rewrite(path="/x", host="api"), request)
        self.assertEqual((b"db:5432", [(b"Host", b"db:5432")]), (request.target, request.headers))
        request = Request(b"CONNECT", b"/chat", [], 0, b"web", False)
        request.stream_id, request.protocol = 1, b"websocket"
        self.rewritten(Rewrite(path="/x", host="api"), request)
        self.assertEqual((b"/x", b"api"), (request.target, request.authority))
