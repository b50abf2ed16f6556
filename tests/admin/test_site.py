# -*- test-case-name: tests.admin.test_site -*-
"""
L{lproxy.admin.site}: whom the site answers to.
"""

from __future__ import annotations

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from lproxy import config
from tests.admin.case import AdminCase, Answer


class LeaveTests(AdminCase):
    """Another process has taken our place."""

    def test_leave(self) -> None:
        """
        Whoever watches or reads is told no more, with a clean end, and connections that would be used again are closed,
        so that all come to the other process.
        """
        kept, *going_on = (self.connect() for _ in range(3))
        idle = [self.connect() for _ in range(2)]
        for (channel, _), page in zip((kept, *going_on), ("ready", "events", "tap"), strict=True):
            channel.dataReceived(f"GET /{page} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        self.assertTrue(self.proxy.taps.on)
        self.site.leave()
        self.assertFalse(self.proxy.taps.on)
        for _, transport in going_on:
            self.assertTrue(Answer(transport.value()).whole)
            self.assertTrue(transport.disconnecting)
        channel, transport = kept
        self.assertFalse(transport.disconnecting, "it might be within a request")
        transport.clear()
        channel.dataReceived(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertEqual("close", Answer(transport.value()).fields["connection"])
        self.assertTrue(transport.disconnecting)
        for (channel, transport), page in zip(idle, ("events", "tap"), strict=True):
            channel.dataReceived(f"GET /{page} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            answer = Answer(transport.value())
            self.assertEqual((200, True, True), (answer.status, answer.whole, transport.disconnecting))
        for one, _ in (kept, *going_on, *idle):
            one.connectionLost(Failure(ConnectionDone()))
        self.assertEqual([], self.clock.getDelayedCalls())


class HostTests(AdminCase):
    """Whom the server answers to."""

    settings = config.Admin(shutdown=True, hosts=("Proxy.local",))

    def refused(self, host: str | None) -> None:
        """C{host} gets an explanation and nothing else, on any page."""
        for request in ("GET /", "GET /metrics", "POST /shutdown", "GET /nothing"):
            answer = self.ask(request, host=host)
            self.assertEqual(403, answer.status, host)
            self.assertIn("admin.hosts", answer.text)
        self.assertEqual([], self.proxy.done)

    def test_own(self) -> None:
        """Names of this machine, and those that the configuration adds, on any port."""
        names = (
            "localhost",
            "LOCALHOST",
            "127.0.0.1",
            "127.8.8.8",
            "[::1]",
            "a.localhost",
            "proxy.local",
            "PROXY.LOCAL",
        )
        for name in names:
            for host in (name, f"{name}:4191", f"{name}:1"):
                self.assertEqual(200, self.ask("GET /ready", host=host).status, host)

    def test_foreign(self) -> None:
        """Any other name may be one that a web page made up to reach us (DNS rebinding)."""
        for host in (
            "evil.example",
            "evil.example:4191",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "notlocalhost",
            "10.0.0.1",
            "0.0.0.0:4191",
            "[2001:db8::1]:4191",
            "localhost:none",
            "localhost:99999",
            "user@localhost",
            "127.0.0.1@evil.example",
            "::1",
            "",
            "\xe9",
        ):
            self.refused(host)

    def test_missing(self) -> None:
        """HTTP/1.1 names a host, and one only. Health checks in HTTP/1.0 need none: no browser speaks it."""
        self.refused(None)
        answer = self.raw(b"GET /ready HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
        self.assertIn(answer.status, (400, 403))
        answer = self.raw(b"GET /ready HTTP/1.1\r\nHost: evil.example\r\nHost: localhost\r\n\r\n")
        self.assertIn(answer.status, (400, 403))
        self.assertEqual(200, self.raw(b"GET /ready HTTP/1.0\r\n\r\n").status)
        self.assertEqual(403, self.raw(b"GET /ready HTTP/1.0\r\nHost: evil.example\r\n\r\n").status)

    def test_listen_address(self) -> None:
        """The address that it listens on is its name; where that is any address, any is."""
        for listen, yes, no in (
            ("10.0.0.1", ("10.0.0.1:4191", "localhost", "127.0.0.1"), ("10.0.0.2", "evil.example")),
            ("2001:db8::1", ("[2001:db8::1]", "[2001:DB8:0::1]:1"), ("[2001:db8::2]", "evil.example")),
            ("0.0.0.0", ("10.0.0.1:4191", "192.168.1.9"), ("evil.example", "1.2.3.4.example")),
            ("::", ("10.0.0.1:4191", "[2001:db8::1]"), ("evil.example",)),
        ):
            self.site = self.make(self.settings, listen)
            for host in yes:
                self.assertEqual(200, self.ask("GET /ready", host=host).status, (listen, host))
            for host in no:
                self.refused(host)


class PathTests(AdminCase):
    """Which pages there are."""

    def test_not_found(self) -> None:
        """What is not there is 404, below a page as well."""
        for path in ("/nothing", "/ready/", "/metrics/x", "//", "/../etc/passwd", "/%00", "/children"):
            answer = self.ask(f"GET {path}")
            self.assertEqual((404, "text/plain; charset=utf-8"), (answer.status, answer.fields["content-type"]), path)


class ClientTests(AdminCase):
    """Clients that say nothing, or nonsense."""

    def test_idle(self) -> None:
        """A client that says nothing, or half of something, is not waited for."""
        for said in (b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"):
            channel, transport = self.connect()
            channel.dataReceived(said)
            self.clock.advance(61)
            self.assertTrue(transport.disconnecting, said)
            channel.connectionLost(Failure(ConnectionDone()))

    def test_garbage(self) -> None:
        """What is not HTTP is 400 and the end."""
        channel, transport = self.connect()
        channel.dataReceived(b"\x16\x03\x01\x00\xff nonsense\r\n\r\n")
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 400"))
        self.assertTrue(transport.disconnecting)
        channel.connectionLost(Failure(ConnectionDone()))
