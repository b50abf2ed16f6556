# -*- test-case-name: tests.protocols.http.explain.test_request -*-
"""
Requests of a command line.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.explain.request import NoRequest, asked


class AskedTests(SynchronousTestCase):
    def test_request(self) -> None:
        """Method, path with its query, fields and host are the proxy's own view of a request."""
        found = asked("get", "http://Web.local:8080/a?b=1#c", ["X-User: alice", "x-empty:"])
        request = found.request
        self.assertEqual((b"GET", b"/a?b=1", b"web.local:8080"), (request.method, request.target, request.authority))
        self.assertEqual([(b"Host", b"web.local:8080"), (b"X-User", b"alice"), (b"x-empty", b"")], request.headers)
        self.assertEqual((False, "web.local", 8080), (found.https, found.host, found.port))
        found = asked("GET", "https://a", [])
        self.assertEqual((True, b"/"), (found.https, found.request.target))

    def test_host(self) -> None:
        """Who is connected to and whom the request is for may differ."""
        found = asked("GET", "http://127.0.0.1:4140/", ["Host: web.local"])
        self.assertEqual((b"web.local", "127.0.0.1"), (found.request.authority, found.host))

    def test_none(self) -> None:
        """What is no request is said."""
        for method, url, headers, says in (
            ("G T", "http://a/", [], "is no method"),
            ("GET", "/a", [], "is no URL"),
            ("GET", "ftp://a/", [], "is no URL"),
            ("GET", "http://a:x/", [], "is no URL"),
            ("GET", "http://a/", ["x"], "is no header"),
            ("GET", "http://a/", ["a b: c"], "is no header"),
            ("GET", "http://a/\u00e9", [], "write them as %XX"),
        ):
            self.assertIn(says, str(self.assertRaises(NoRequest, asked, method, url, headers)))
