# -*- test-case-name: tests.protocols.http.profile.test_answer -*-
"""
Tests for L{lproxy.protocols.http.profile.answer}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.profile import ALWAYS, Answer, Condition, Fields, Path, Redirect
from lproxy.protocols.http.message import Rejected, Request
from lproxy.protocols.http.profile.answer import Elsewhere, Static
from lproxy.protocols.http.profile.edit import Edit


def request(
    target: bytes = b"/a/b?c=d", authority: bytes = b"web.local", method: bytes = b"GET", stream_id: int = 0
) -> Request:
    """One of either version."""
    made = Request(method, target, [], 0, authority, False)
    made.stream_id = stream_id
    return made


class StaticTests(SynchronousTestCase):
    """The same for everybody."""

    def test_answer(self) -> None:
        """Status, type, length and body; each has fields of its own, which whoever sends it may change."""
        static = Static(Answer(503, "caf\u00e9 is closed\n"), None)
        head, body = static.to(request(), False)
        self.assertEqual((503, b"Service Unavailable", True), (head.status, head.reason, head.ours))
        self.assertEqual(b"caf\xc3\xa9 is closed\n", body)
        fields = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"16")]
        self.assertEqual((fields, 16), (head.headers, head.framing))
        head.headers.clear()
        self.assertEqual(fields, static.to(request(), False)[0].headers)

    def test_head(self) -> None:
        """HEAD gets the fields of GET, and no body."""
        head, body = Static(Answer(200, "hello"), None).to(request(method=b"HEAD"), False)
        self.assertEqual((b"", 5, (b"content-length", b"5")), (body, head.framing, head.headers[-1]))

    def test_empty(self) -> None:
        """No body has no type; some answers have not even a length (RFC 9110, 8.6)."""
        head, body = Static(Answer(404), None).to(request(), False)
        self.assertEqual(([(b"content-length", b"0")], b""), (head.headers, body))
        for status in (204, 304):
            head, body = Static(Answer(status, "nobody reads this"), None).to(request(), False)
            self.assertEqual(([], b"", 0), (head.headers, body, head.framing))

    def test_connect(self) -> None:
        """Who wants a connection, or a WebSocket over HTTP/2, must not believe to have one; a refusal is one."""
        page, refusal = Static(Answer(200, "hello"), None), Static(Answer(403, "no"), None)
        for asked in (request(b"web:443", b"web:443", b"CONNECT"), request(b"/chat", method=b"CONNECT", stream_id=1)):
            self.assertEqual("connect", self.assertRaises(Rejected, page.to, asked, False).reason)
            self.assertEqual(403, refusal.to(asked, False)[0].status)

    def test_unknown_status(self) -> None:
        """A status that has no name is as good as others."""
        head, _ = Static(Answer(299), None).to(request(), False)
        self.assertEqual((299, b""), (head.status, head.reason))

    def test_edited(self) -> None:
        """What the route changes of answers, it changes of this one."""
        edit = Edit(Fields(set=(("Content-Type", "application/json"),), add=(("Cache-Control", "no-store"),)))
        head, _ = Static(Answer(200, "{}"), edit).to(request(), False)
        self.assertEqual(
            [(b"content-type", b"application/json"), (b"content-length", b"2"), (b"cache-control", b"no-store")],
            head.headers,
        )


class ElsewhereTests(SynchronousTestCase):
    """Redirects."""

    def location(
        self, redirect: Redirect, asked: Request | None = None, https: bool = False, condition: Condition = ALWAYS
    ) -> bytes:
        """Where C{asked} is sent to."""
        head, body = Elsewhere(redirect, condition, None).to(asked or request(), https)
        self.assertEqual((redirect.status, b"", 0, True), (head.status, body, head.framing, head.ours))
        (location, length) = head.headers
        self.assertEqual(((b"content-length", b"0"), b"location"), (length, location[0]))
        return location[1]

    def test_scheme(self) -> None:
        """To https: the same host and path, at the port of https."""
        to_https = Redirect(301, scheme="https")
        self.assertEqual(b"https://web.local/a/b?c=d", self.location(to_https))
        self.assertEqual(b"https://web.local/a/b?c=d", self.location(to_https, request(authority=b"web.local:8080")))
        self.assertEqual(b"https://web.local/a/b?c=d", self.location(to_https, request(stream_id=1)))
        self.assertEqual(b"https://web.local:8443/a/b?c=d", self.location(Redirect(301, scheme="https", port=8443)))

    def test_host(self) -> None:
        """To another host: scheme, port and path are those of the request."""
        other = Redirect(host="other.example")
        self.assertEqual(b"http://other.example/a/b?c=d", self.location(other))
        self.assertEqual(b"https://other.example/a/b?c=d", self.location(other, https=True))
        self.assertEqual(b"http://other.example:8080/a/b?c=d", self.location(other, request(authority=b"web:8080")))
        self.assertEqual(b"http://a:81/a/b?c=d", self.location(Redirect(host="a:81"), request(authority=b"web:8080")))

    def test_default_ports(self) -> None:
        """A port that goes without saying is not said."""
        self.assertEqual(b"http://web/", self.location(Redirect(), request(b"/", b"web:80")))
        self.assertEqual(b"http://web:443/", self.location(Redirect(), request(b"/", b"web:443")))
        self.assertEqual(b"https://web/", self.location(Redirect(), request(b"/", b"web:443"), https=True))
        self.assertEqual(b"https://web/", self.location(Redirect(scheme="HTTPS", port=443), request(b"/", b"web")))
        self.assertEqual(b"http://web/", self.location(Redirect(port=80), request(b"/", b"web:9")))

    def test_ipv6(self) -> None:
        """An address in brackets has no port by its colons."""
        self.assertEqual(b"http://[::1]/", self.location(Redirect(), request(b"/", b"[::1]")))
        self.assertEqual(b"http://[::1]:81/", self.location(Redirect(), request(b"/", b"[::1]:81")))
        self.assertEqual(b"http://[::1]:82/", self.location(Redirect(port=82), request(b"/", b"[::1]:81")))
        self.assertEqual(b"http://[fe80::2]/", self.location(Redirect(host="[fe80::2]"), request(b"/", b"[::1]")))

    def test_path(self) -> None:
        """To another path, or another beginning of it; the query stays."""
        self.assertEqual(b"http://web.local/new?c=d", self.location(Redirect(path="/new")))
        moved = self.location(Redirect(prefix="/x"), condition=Path("/a", "prefix"))
        self.assertEqual(b"http://web.local/x/b?c=d", moved)

    def test_no_path(self) -> None:
        """What is asked of a server as a whole is asked of another as a whole."""
        self.assertEqual(b"http://web.local/", self.location(Redirect(), request(b"*", method=b"OPTIONS")))

    def test_nowhere(self) -> None:
        """Who names no host, and who wants a connection, cannot be told a URL."""
        elsewhere = Elsewhere(Redirect(), ALWAYS, None)
        for asked in (request(authority=b""), request(b"web:443", b"web:443", b"CONNECT")):
            self.assertEqual(400, self.assertRaises(Rejected, elsewhere.to, asked, False).status)

    def test_injection(self) -> None:
        """Whatever a client has put into its path stays within one URL, within one field."""
        for path in (b"/\r\nSet-Cookie: a", b"/a b", b"/\x00", b"/\xff", b'/"<>'):
            location = self.location(Redirect(), request(path))
            self.assertTrue(location.startswith(b"http://web.local/"))
            self.assertNotRegex(location, rb"[^\x21-\x7e]|[\"<>]")
        self.assertEqual(b"http://web.local//evil.example", self.location(Redirect(), request(b"//evil.example")))
        self.assertEqual(b"http://web.local/%zz%0d%0A", self.location(Redirect(), request(b"/%zz%0d%0A")))

    def test_edited(self) -> None:
        """What the route changes of answers, it changes of this one."""
        head, _ = Elsewhere(Redirect(308), ALWAYS, Edit(Fields(add=(("X-A", "1"),)))).to(request(), False)
        self.assertEqual((308, b"Permanent Redirect"), (head.status, head.reason))
        self.assertEqual((b"x-a", b"1"), head.headers[-1])
