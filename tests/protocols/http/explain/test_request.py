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
            ("GET", "http://a/b\r\nx: y", [], "is no URL"),
            ("GET", "http://a/", ["x: y\r\nz: 1"], "is no header"),
        ):
            self.assertIn(says, str(self.assertRaises(NoRequest, asked, method, url, headers)))

    def test_refused(self) -> None:
        """What is refused where it comes in is refused here, for the same reason."""
        for url, headers, says in (
            ("http://a/b c", [], "is answered 400, refused (req_line)"),
            ("http://a b/", [], "is answered 400, refused (host)"),
            ("http://a/", ["Host: a/b"], "is answered 400, refused (host)"),
            ("http://a/", ["x: \x01"], "is answered 400, refused (hdr_value)"),
            ("http://a/", ["Content-Length: 1", "Content-Length: 1"], "is answered 400, refused (cl_dup)"),
        ):
            self.assertIn(says, str(self.assertRaises(NoRequest, asked, "GET", url, headers)))

    def test_as_it_comes(self) -> None:
        """Its path is as it is written, and what is for one connection alone is gone, as where it comes in."""
        for url, target in (
            ("http://a", b"/"),
            ("http://a?b", b"/?b"),
            ("http://u:p@a/b?#c", b"/b?"),
            ("http://a//b/../c;d", b"//b/../c;d"),
            ("http://[::1]:80/v6", b"/v6"),
        ):
            self.assertEqual(target, asked("GET", url, []).request.target, url)
        found = asked("GET", "http://a/", ["Connection: x-b", "x-b: 1", "x-c: 2"]).request
        self.assertEqual([b"Host", b"x-c"], [name for name, _ in found.headers])

    def test_connect(self) -> None:
        """A tunnel is asked for by host and port."""
        for url, target in (
            ("http://a/b", b"a:80"),
            ("https://a", b"a:443"),
            ("http://[::1]:8080", b"[::1]:8080"),
        ):
            self.assertEqual(target, asked("connect", url, []).request.target)
