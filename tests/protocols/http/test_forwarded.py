# -*- test-case-name: tests.protocols.http.test_forwarded -*-
"""
L{lproxy.protocols.http.forwarded}: for whom a request is forwarded, and who may say so.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.config import Listen
from lproxy.protocols.http.forwarded import forwarding
from lproxy.protocols.http.message import Headers, Request
from lproxy.transport.stream import Conn
from tests.protocols.http.harness import HttpTestCase, get

#: what a client may say, in all spellings that an application understands
FORGED = (
    ("X-Forwarded-For", "6.6.6.6"),
    ("x-forwarded-proto", "https"),
    ("X-FORWARDED-HOST", "evil"),
    ("X-Forwarded-Port", "443"),
    ("X_Forwarded_For", "6.6.6.7"),
    ("X-Real-IP", "6.6.6.6"),
    ("Forwarded", "for=6.6.6.6"),
)


class ForwardingTests(SynchronousTestCase):
    """What is made of the fields."""

    def fields(self, *fields: tuple[str, str], peer: str = "10.0.0.1", **settings: Any) -> Headers:
        """What the upstream gets of C{fields} from C{peer}."""
        headers = [(b"Host", b"web.test"), *((name.encode(), value.encode()) for name, value in fields)]
        request = Request(b"GET", b"/", headers, 0, b"web.test", False)
        applied = forwarding(Listen(**settings))
        if applied is not None:
            applied.apply(request, Conn((peer, 1), ("10.0.0.2", 2)))
        self.assertEqual((b"Host", b"web.test"), request.headers[0])
        return request.headers[1:]

    def test_pass(self) -> None:
        """By default they go on as they are, and nothing is added."""
        self.assertIsNone(forwarding(Listen()))
        self.assertEqual(7, len(self.fields(*FORGED)))

    def test_remove(self) -> None:
        """All of them, and nothing else."""
        self.assertEqual([(b"X-A", b"b")], self.fields(*FORGED, ("X-A", "b"), forwarded="remove"))

    def test_replace(self) -> None:
        """What is known of the client, and nothing that it says."""
        expected = [
            (b"X-Forwarded-For", b"10.0.0.1"),
            (b"X-Forwarded-Proto", b"http"),
            (b"X-Forwarded-Host", b"web.test"),
        ]
        self.assertEqual(expected, self.fields(*FORGED, forwarded="replace"))
        self.assertEqual(expected, self.fields(forwarded="replace"))

    def test_append(self) -> None:
        """The client's address behind what is there, in the last of several fields; the rest where it is missing."""
        self.assertEqual(
            [
                (b"x-forwarded-for", b"1.1.1.1"),
                (b"X-Forwarded-For", b"2.2.2.2, 10.0.0.1"),
                (b"Forwarded", b"for=3.3.3.3;proto=https, for=10.0.0.1"),
                (b"X-Forwarded-Proto", b"https"),
                (b"X-Forwarded-Host", b"web.test"),
            ],
            self.fields(
                ("x-forwarded-for", "1.1.1.1"),
                ("X-Forwarded-For", "2.2.2.2"),
                ("Forwarded", "for=3.3.3.3;proto=https"),
                ("X-Forwarded-Proto", "https"),
                forwarded="append",
            ),
        )
        self.assertEqual((b"X-Forwarded-For", b"10.0.0.1"), self.fields(("X-Forwarded-For", ""), forwarded="append")[0])

    def test_trusted(self) -> None:
        """Of others than the trusted networks' nothing is believed, whatever is done with it otherwise."""
        trusted = ("10.0.0.0/24", "2001:db8::/32")
        for peer in ("10.0.0.9", "2001:db8::9"):
            self.assertEqual(7, len(self.fields(*FORGED, peer=peer, trusted=trusted)))
            said = dict(self.fields(*FORGED[:1], peer=peer, trusted=trusted, forwarded="append"))
            self.assertEqual(b"6.6.6.6, " + peer.encode(), said[b"X-Forwarded-For"])
        for peer in ("10.0.1.9", "2001:db9::9", "", "1.2.3.4"):
            self.assertEqual([], self.fields(*FORGED, peer=peer, trusted=trusted))
            said = dict(self.fields(*FORGED, peer=peer, trusted=trusted, forwarded="append"))
            self.assertEqual(peer.encode() or b"unknown", said[b"X-Forwarded-For"])
            self.assertEqual(3, len(said))

    def test_nodes(self) -> None:
        """IPv6 addresses are quoted in Forwarded; a UNIX socket's client is nobody."""
        said = dict(self.fields(("Forwarded", "for=a"), peer="::1", forwarded="append"))
        self.assertEqual((b'for=a, for="[::1]"', b"::1"), (said[b"Forwarded"], said[b"X-Forwarded-For"]))
        said = dict(self.fields(("Forwarded", "for=a"), peer="", forwarded="append"))
        self.assertEqual(b"for=a, for=unknown", said[b"Forwarded"])


class ListenerTests(HttpTestCase):
    """On a listener."""

    listen = {"forwarded": "replace"}

    def test_applied(self) -> None:
        """To each request that it forwards."""
        client = self.client(get("/", "X-Forwarded-For: 6.6.6.6"))
        expected = ("X-Forwarded-For: 10.0.0.1", "X-Forwarded-Proto: http", "X-Forwarded-Host: web.test")
        self.assertEqual(get("/", *expected), self.heard(self.up))
        client.reset()
