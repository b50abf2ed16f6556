# -*- test-case-name: tests.app.test_admin -*-
"""
The admin server, fed with raw HTTP in memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock, Cooperator
from twisted.internet.testing import StringTransport
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lproxy import config
from lproxy.app.admin import IDLE, admin_site
from lproxy.metrics.registry import Metrics

PATHS = ("/", "/metrics", "/ready", "/live", "/config", "/services", "/connections", "/plugins")
COMMANDS = ("/shutdown", "/log-level")


class FakeState:
    """What a proxy would show; rows may be exceptions."""

    version = "1.2<3"

    def __init__(self) -> None:
        self.reason: str | None = None
        self.rows: list[Any] = []
        self.done: list[str] = []

    def ready(self) -> str | None:
        return self.reason

    def describe_config(self) -> dict[str, Any]:
        return {"zebra": 1, "apple": {"pear": [1, 2]}}

    def services(self) -> list[dict[str, Any]]:
        if self.rows and isinstance(self.rows[0], Exception):
            raise self.rows[0]
        return self.rows

    connections = services

    def plugins(self) -> list[dict[str, str]]:
        return []

    def shutdown(self) -> None:
        self.done.append("shutdown")

    def set_log_level(self, name: str) -> None:
        if name != "debug":
            raise ValueError(f"{name!r} is no log level; there is debug")
        self.done.append(name)


class Answer:
    """One parsed response."""

    def __init__(self, raw: bytes) -> None:
        head, _, body = raw.partition(b"\r\n\r\n")
        first, *fields = head.decode("ascii").split("\r\n")
        self.status = int(first.split()[1])
        self.fields = {k.lower(): v for k, v in (field.split(": ", 1) for field in fields)}
        self.whole = True
        if self.fields.get("transfer-encoding") == "chunked":
            self.whole = body.endswith(b"0\r\n\r\n")
            parts, at = [], 0
            while at < len(body):
                end = body.index(b"\r\n", at)
                size = int(body[at:end], 16)
                parts.append(body[end + 2 : end + 2 + size])
                at = end + 4 + size
            body = b"".join(parts)
        self.body = body
        self.text = body.decode()


class AdminCase(SynchronousTestCase):
    """A site on 127.0.0.1 whose long answers go on whenever the clock does."""

    settings = config.Admin(shutdown=True, log_level=True)
    host = "127.0.0.1"

    def setUp(self) -> None:
        self.clock = Clock()
        self.state = FakeState()
        self.metrics = Metrics(config.Metrics(), self.clock)
        self.site = self.make(self.settings, self.host)

    def make(self, settings: config.Admin, host: str) -> Any:
        """Another site for the same state."""
        turns = Cooperator(lambda: lambda: True, lambda f: self.clock.callLater(0.001, f))
        site = admin_site(self.state, self.metrics, settings, host, turns.cooperate)
        site.reactor = self.clock
        return site

    def connect(self, peer: str = "127.0.0.1") -> tuple[Any, StringTransport]:
        """A client."""
        address = (IPv6Address if ":" in peer else IPv4Address)("TCP", peer, 50000)
        transport = StringTransport(peerAddress=address)
        channel = self.site.buildProtocol(address)
        channel.makeConnection(transport)
        return channel, transport

    def raw(self, request: bytes, peer: str = "127.0.0.1") -> Answer:
        """What is said to these bytes, in the end."""
        channel, transport = self.connect(peer)
        channel.dataReceived(request)
        for _ in range(100):
            self.clock.advance(0.001)
        answer = Answer(transport.value())
        channel.connectionLost(Failure(ConnectionDone()))
        return answer

    def ask(
        self, request: str, *fields: str, host: str | None = "localhost", body: str = "", peer: str = "127.0.0.1"
    ) -> Answer:
        """C{request} is a method and a path."""
        lines = [f"{request} HTTP/1.1", *([f"Host: {host}"] if host is not None else []), *fields]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        return self.raw(("\r\n".join(lines) + "\r\n\r\n" + body).encode(), peer)


class PageTests(AdminCase):
    """What there is to see."""

    def test_ready(self) -> None:
        """200, or 503 and the reason."""
        answer = self.ask("GET /ready")
        self.assertEqual((200, "ready\n"), (answer.status, answer.text))
        for reason in ("starting", "draining"):
            self.state.reason = reason
            answer = self.ask("GET /ready")
            self.assertEqual((503, f"{reason}\n"), (answer.status, answer.text))
        self.assertEqual(200, self.ask("GET /live").status, "alive all the same")

    def test_json(self) -> None:
        """JSON to be read by people, in the order in which it was given."""
        answer = self.ask("GET /config")
        self.assertEqual((200, "application/json"), (answer.status, answer.fields["content-type"]))
        self.assertEqual(["zebra", "apple"], list(json.loads(answer.text)))
        self.assertIn('\n  "zebra": 1,\n', answer.text)

    def test_rows(self) -> None:
        """Lists of any length are whole, and leave the reactor to others in between."""
        for count in (0, 1, 19, 20, 21, 500):
            self.state.rows = [{"target": f"t{n}", "waiting": n} for n in range(count)]
            for path in ("/services", "/connections"):
                answer = self.ask(f"GET {path}")
                self.assertEqual((True, self.state.rows), (answer.whole, json.loads(answer.text)))
        self.assertEqual([], json.loads(self.ask("GET /plugins").text))

    def test_slices(self) -> None:
        """Of a long list, a turn of the reactor writes a part."""
        self.state.rows = [{"n": n} for n in range(500)]
        channel, transport = self.connect()
        channel.dataReceived(b"GET /services HTTP/1.1\r\nHost: localhost\r\n\r\n")
        lengths = [len(transport.value())]
        for _ in range(5):
            self.clock.advance(0.001)
            lengths.append(len(transport.value()))
        self.assertEqual(sorted(set(lengths)), lengths)
        self.assertFalse(Answer(transport.value()).whole)

    def test_metrics(self) -> None:
        """Prometheus gets what it can read."""
        self.metrics.detect("out").results["http"] = 7
        answer = self.ask("GET /metrics")
        self.assertEqual((200, True), (answer.status, answer.whole))
        self.assertEqual("text/plain; version=0.0.4; charset=utf-8", answer.fields["content-type"])
        values = {s.name: s.value for f in text_string_to_metric_families(answer.text) for s in f.samples}
        self.assertEqual(7.0, values["detect_total"])

    def test_index(self) -> None:
        """The first page leads to all others and loads nothing from anywhere."""
        self.state.reason = '<script>"&'
        answer = self.ask("GET /")
        self.assertEqual((200, "text/html; charset=utf-8"), (answer.status, answer.fields["content-type"]))
        self.assertEqual(set(PATHS) - {"/"}, set(re.findall('href="([^"]*)"', answer.text)))
        self.assertIn("1.2&lt;3", answer.text)
        self.assertIn("&lt;script&gt;&quot;&amp;", answer.text)
        self.assertNotIn("<script", answer.text)
        for outside in ("src=", "http:", "https:", "url(", "@import"):
            self.assertNotIn(outside, answer.text)

    def test_fields(self) -> None:
        """Every answer, a refusal too, is not to be kept, guessed at or framed, and does not boast."""
        answers = [self.ask(f"GET {path}") for path in (*PATHS, *COMMANDS, "/nothing")]
        answers += [self.ask("PUT /ready"), self.ask("GET /ready", host="evil.example")]
        for answer in answers:
            self.assertEqual("no-store", answer.fields["cache-control"])
            self.assertEqual("nosniff", answer.fields["x-content-type-options"])
            self.assertIn("frame-ancestors 'none'", answer.fields["content-security-policy"])
            self.assertEqual("lproxy", answer.fields["server"])

    def test_not_found(self) -> None:
        """What is not there is 404, below a page as well."""
        for path in ("/nothing", "/ready/", "/metrics/x", "//", "/../etc/passwd", "/%00", "/children"):
            answer = self.ask(f"GET {path}")
            self.assertEqual((404, "text/plain; charset=utf-8"), (answer.status, answer.fields["content-type"]), path)


class MethodTests(AdminCase):
    """How a page may be asked for."""

    def test_others(self) -> None:
        """Other methods are 405 and told which would do."""
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get"):
            for path in PATHS:
                answer = self.ask(f"{method} {path}")
                self.assertEqual((405, "GET, HEAD"), (answer.status, answer.fields["allow"]), (method, path))

    def test_commands(self) -> None:
        """To look at a command does nothing."""
        for method in ("GET", "HEAD", "PUT"):
            for path in COMMANDS:
                answer = self.ask(f"{method} {path}?level=debug")
                self.assertEqual((405, "POST"), (answer.status, answer.fields["allow"]))
        self.assertEqual([], self.state.done)

    def test_head(self) -> None:
        """HEAD tells what GET would, without a body, and without a word in the log."""
        said: list[Any] = []
        globalLogPublisher.addObserver(said.append)
        self.addCleanup(globalLogPublisher.removeObserver, said.append)
        for path in (*PATHS, "/nothing"):
            get, head = self.ask(f"GET {path}"), self.ask(f"HEAD {path}")
            self.assertEqual((get.status, b""), (head.status, head.body), path)
            for name in ("content-type", "cache-control"):
                self.assertEqual(get.fields[name], head.fields[name], path)
            if "content-length" in get.fields:
                self.assertEqual(get.fields["content-length"], head.fields["content-length"], path)
        self.assertEqual([], said, "neither for HEAD nor for any request")


class HostTests(AdminCase):
    """Whom the server answers to."""

    settings = config.Admin(shutdown=True, hosts=("Proxy.local",))

    def refused(self, host: str | None) -> None:
        """C{host} gets an explanation and nothing else, on any page."""
        for request in ("GET /", "GET /metrics", "POST /shutdown", "GET /nothing"):
            answer = self.ask(request, host=host)
            self.assertEqual(403, answer.status, host)
            self.assertIn("admin.hosts", answer.text)
        self.assertEqual([], self.state.done)

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


class CommandTests(AdminCase):
    """What can be done, and by whom."""

    def test_shutdown(self) -> None:
        """POST begins the drain."""
        self.assertEqual(202, self.ask("POST /shutdown").status)
        self.assertEqual(["shutdown"], self.state.done)

    def test_level(self) -> None:
        """The level stands in the query or in a form."""
        form = "Content-Type: application/x-www-form-urlencoded"
        self.assertEqual(200, self.ask("POST /log-level?level=debug").status)
        self.assertEqual(200, self.ask("POST /log-level", form, body="level=debug").status)
        self.assertEqual(["debug", "debug"], self.state.done)

    def test_bad_level(self) -> None:
        """A level that there is not is 400 and told which there are."""
        for query in ("", "?level=", "?level=%3Cb%3E%ff"):
            answer = self.ask(f"POST /log-level{query}")
            self.assertEqual((400, "text/plain; charset=utf-8"), (answer.status, answer.fields["content-type"]))
            self.assertIn("there is debug", answer.text)
        self.assertEqual([], self.state.done)

    def test_off(self) -> None:
        """What the configuration has not turned on is refused, and says how."""
        self.site = self.make(config.Admin(), self.host)
        for path, setting in (
            ("/shutdown", "admin.shutdown = true"),
            ("/log-level?level=debug", "admin.log_level = true"),
        ):
            answer = self.ask(f"POST {path}")
            self.assertEqual(403, answer.status)
            self.assertIn(setting, answer.text)
        self.assertEqual([], self.state.done)

    def test_from_elsewhere(self) -> None:
        """Only this machine gives orders, whatever it claims in a header."""
        for peer in ("10.0.0.1", "2001:db8::1", "::ffff:10.0.0.1"):
            answer = self.ask("POST /shutdown", "X-Forwarded-For: 127.0.0.1", peer=peer)
            self.assertEqual((403, "from this machine only\n"), (answer.status, answer.text))
            self.assertEqual(200, self.ask("GET /ready", peer=peer).status)
        self.assertEqual([], self.state.done)
        for peer in ("127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1"):
            self.assertEqual(202, self.ask("POST /shutdown", peer=peer).status, peer)

    def test_web_page(self) -> None:
        """No page that somebody looks at on this machine gives orders."""
        for origin in ("http://evil.example", "null", "http://localhost:8000"):
            self.assertEqual(403, self.ask("POST /shutdown", f"Origin: {origin}").status)
        self.assertEqual([], self.state.done)

    def test_long_body(self) -> None:
        """A body without end is not kept, and no order."""
        channel, transport = self.connect()
        channel.dataReceived(b"POST /shutdown HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(64):
            channel.dataReceived(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
        content = channel._channel.requests[0].content
        self.assertLess(content.seek(0, 2), 100_000)
        channel.dataReceived(b"0\r\n\r\n")
        self.assertEqual((413, []), (Answer(transport.value()).status, self.state.done))


class TroubleTests(AdminCase):
    """When something goes wrong."""

    def test_exception(self) -> None:
        """A mistake of ours is logged; the client gets 500 and nothing of the inside."""
        self.state.rows = [KeyError("secret")]
        for method in ("GET", "HEAD"):
            answer = self.ask(f"{method} /services")
            self.assertEqual(500, answer.status)
            for word in ("secret", "KeyError", "Traceback", "lproxy/"):
                self.assertNotIn(word, answer.text)
        self.assertEqual(2, len(self.flushLoggedErrors(KeyError)))

    def test_half_an_answer(self) -> None:
        """Where the status has gone out already, the connection is cut: half a scrape never looks like a whole one."""

        def text() -> Iterator[bytes]:
            yield b"a 1\n"
            yield b"b 1\n"
            raise KeyError("secret")

        self.patch(self.metrics, "text", text)
        self.site = self.make(self.settings, self.host)
        channel, transport = self.connect()
        channel.dataReceived(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for _ in range(10):
            self.clock.advance(0.001)
        self.assertEqual(1, len(self.flushLoggedErrors(KeyError)))
        answer = Answer(transport.value())
        self.assertEqual((200, False, "a 1\nb 1\n"), (answer.status, answer.whole, answer.text))
        self.assertTrue(transport.disconnecting)

    def test_gone(self) -> None:
        """Nothing is rendered for a client that has gone away."""
        self.state.rows = [{"n": n} for n in range(500)]
        channel, _ = self.connect()
        channel.dataReceived(b"GET /services HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.clock.advance(0.001)
        channel.connectionLost(Failure(ConnectionDone()))
        self.clock.advance(0.001)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_slow_reader(self) -> None:
        """A client that does not read is not rendered for, until it reads again."""
        self.state.rows = [{"n": n} for n in range(500)]
        channel, transport = self.connect()
        channel.dataReceived(b"GET /services HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.clock.advance(0.001)
        transport.producer.pauseProducing()
        before = transport.value()
        for _ in range(50):
            self.clock.advance(0.001)
        self.assertEqual(before, transport.value())
        transport.producer.resumeProducing()
        for _ in range(50):
            self.clock.advance(0.001)
        self.assertEqual(self.state.rows, json.loads(Answer(transport.value()).text))

    def test_idle(self) -> None:
        """A client that says nothing, or half of something, is not waited for."""
        for said in (b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"):
            channel, transport = self.connect()
            channel.dataReceived(said)
            self.clock.advance(IDLE + 1)
            self.assertTrue(transport.disconnecting, said)
            channel.connectionLost(Failure(ConnectionDone()))

    def test_garbage(self) -> None:
        """What is not HTTP is 400 and the end."""
        channel, transport = self.connect()
        channel.dataReceived(b"\x16\x03\x01\x00\xff nonsense\r\n\r\n")
        self.assertTrue(transport.value().startswith(b"HTTP/1.1 400"))
        self.assertTrue(transport.disconnecting)
        channel.connectionLost(Failure(ConnectionDone()))
