# -*- test-case-name: tests.admin.test_server -*-
"""
L{lproxy.admin.server}: the pages of the admin server, and its commands.
"""

from __future__ import annotations

import json
from types import SimpleNamespace

from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from lproxy import config
from tests.admin.case import COMMANDS, PATHS, AdminCase, Answer


class PageTests(AdminCase):
    """What there is to see."""

    def test_ready(self) -> None:
        """200, or 503 and the reason."""
        answer = self.ask("GET /ready")
        self.assertEqual((200, "ready\n"), (answer.status, answer.text))
        for reason in ("starting", "draining"):
            self.proxy.reason = reason
            answer = self.ask("GET /ready")
            self.assertEqual((503, f"{reason}\n"), (answer.status, answer.text))
        self.assertEqual(200, self.ask("GET /live").status, "alive all the same")

    def test_json(self) -> None:
        """JSON to be read by people, in the order in which it was given."""
        answer = self.ask("GET /config")
        self.assertEqual((200, "application/json"), (answer.status, answer.fields["content-type"]))
        self.assertEqual(["zebra", "apple"], list(json.loads(answer.text)))
        self.assertIn('\n  "zebra": 1,\n', answer.text)

    def test_metrics(self) -> None:
        """Prometheus gets what it can read."""
        self.metrics.detect("out").results["http"] = 7
        answer = self.ask("GET /metrics")
        self.assertEqual((200, True), (answer.status, answer.whole))
        self.assertEqual("text/plain; version=0.0.4; charset=utf-8", answer.fields["content-type"])
        values = {s.name: s.value for f in text_string_to_metric_families(answer.text) for s in f.samples}
        self.assertEqual(7.0, values["detect_total"])

    def test_filtered(self) -> None:
        """Of rows, those that are asked for: by the name of a service, by any word of a connection."""
        self.proxy.rows = [{"target": "web:80", "client": "a"}, {"target": "app:80", "client": "web"}]
        for path, count in (
            ("/services?q=web", 1),
            ("/services.json", 2),
            ("/connections?q=web", 2),
            ("/plugins.json", 0),
        ):
            self.assertEqual(count, len(json.loads(self.ask(f"GET {path}").text)), path)

    def test_for_programs(self) -> None:
        """Each page but /metrics, which has a language of its own, is JSON for programs, by Accept or by its name."""
        self.proxy.reason = "draining"
        for path in PATHS:
            if path == "/metrics":
                continue
            for answer in (
                self.ask(f"GET {path}", "Accept: application/json"),
                self.ask(f"GET {'/overview' if path == '/' else path}.json"),
            ):
                self.assertEqual("application/json", answer.fields["content-type"], path)
                self.assertEqual(503 if path == "/ready" else 200, answer.status)
                said = json.loads(answer.text)
                if path in ("/ready", "/live"):
                    expected = {"/ready": (False, "draining"), "/live": (True, "live")}[path]
                    self.assertEqual(expected, (said["ok"], said["why"]))
        self.assertEqual("draining\n", self.ask("GET /ready").text)

    def test_overview(self) -> None:
        """What the first page shows, for programs: where they say that they are, or by its other name."""
        self.proxy.rows = [{"target": "web:80", "state": "open"}, {"target": "app:80", "state": "open"}]
        answers = [
            self.ask("GET /overview.json?q=web"),
            self.ask("GET /?q=web", "Accept: application/json"),
        ]
        for answer in answers:
            self.assertEqual("application/json", answer.fields["content-type"])
            shown = json.loads(answer.text)
            ((row, traffic, _),) = shown["services"]
            self.assertEqual(("web:80", None, 0.0), (row["target"], traffic["success"], traffic["rate"]))
        browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
        for accept in (browser, "*/*", f"application/json,{browser}"):
            self.assertIn("text/html", self.ask("GET /", f"Accept: {accept}").fields["content-type"])

    def test_fields(self) -> None:
        """Every answer, a refusal too, is not to be kept, guessed at or framed, and does not boast."""
        answers = [self.ask(f"GET {path}") for path in (*PATHS, *COMMANDS, "/nothing")]
        answers += [self.ask("PUT /ready"), self.ask("GET /ready", host="evil.example")]
        for answer in answers:
            self.assertEqual("no-store", answer.fields["cache-control"])
            self.assertEqual("nosniff", answer.fields["x-content-type-options"])
            self.assertIn("frame-ancestors 'none'", answer.fields["content-security-policy"])
            self.assertEqual("lproxy", answer.fields["server"])


class CommandTests(AdminCase):
    """What can be done, and by whom."""

    def test_reload(self) -> None:
        """The configuration is read anew; whoever asked is told what is wrong with it."""
        answer = self.ask("POST /reload")
        self.assertEqual((200, b"the file is live\n"), (answer.status, answer.body))
        self.proxy.reason = "lproxy.toml is refused"
        answer = self.ask("POST /reload")
        self.assertEqual((409, b"lproxy.toml is refused\n"), (answer.status, answer.body))

    def test_reload_takes_its_time(self) -> None:
        """The answer comes when it is done; to one who is gone by then, none."""
        self.proxy.reloading = reloading = []
        clients = [self.connect() for _ in range(2)]
        for channel, _ in clients:
            channel.dataReceived(b"POST /reload HTTP/1.1\r\nHost: localhost\r\n\r\n")
        clients[1][0].connectionLost(Failure(ConnectionDone()))
        self.assertEqual([b"", b""], [transport.value() for _, transport in clients])
        for done in reloading:
            done.callback(SimpleNamespace(well=True, text="done"))
        self.assertEqual([200, b""], [Answer(clients[0][1].value()).status, clients[1][1].value()])
        clients[0][0].connectionLost(Failure(ConnectionDone()))
        self.assertEqual(["reload"] * 2, self.proxy.done)

    def test_shutdown(self) -> None:
        """POST begins the drain."""
        self.assertEqual(202, self.ask("POST /shutdown").status)
        self.assertEqual(["shutdown"], self.proxy.done)

    def test_level(self) -> None:
        """The level stands in the query or in a form."""
        form = "Content-Type: application/x-www-form-urlencoded"
        self.assertEqual(200, self.ask("POST /log-level?level=debug").status)
        self.assertEqual(200, self.ask("POST /log-level", form, body="level=debug").status)
        self.assertEqual(["debug", "debug"], self.proxy.done)

    def test_bad_level(self) -> None:
        """A level that there is not is 400 and told which there are."""
        for query in ("", "?level=", "?level=%3Cb%3E%ff"):
            answer = self.ask(f"POST /log-level{query}")
            self.assertEqual((400, "text/plain; charset=utf-8"), (answer.status, answer.fields["content-type"]))
            self.assertIn("there is debug", answer.text)
        self.assertEqual([], self.proxy.done)

    def test_off(self) -> None:
        """What the configuration has not turned on is refused, and says how."""
        self.site = self.make(config.Admin(), self.host)
        for path, setting in (
            ("/shutdown", "admin.shutdown = true"),
            ("/reload", "admin.reload = true"),
            ("/log-level?level=debug", "admin.log_level = true"),
        ):
            answer = self.ask(f"POST {path}")
            self.assertEqual(403, answer.status)
            self.assertIn(setting, answer.text)
        self.assertEqual([], self.proxy.done)

    def test_from_elsewhere(self) -> None:
        """Only this machine gives orders, whatever it claims in a header."""
        for peer in ("10.0.0.1", "2001:db8::1", "::ffff:10.0.0.1"):
            answer = self.ask("POST /shutdown", "X-Forwarded-For: 127.0.0.1", peer=peer)
            self.assertEqual((403, "from this machine only\n"), (answer.status, answer.text))
            self.assertEqual(200, self.ask("GET /ready", peer=peer).status)
        self.assertEqual([], self.proxy.done)
        for peer in ("127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1"):
            self.assertEqual(202, self.ask("POST /shutdown", peer=peer).status, peer)

    def test_web_page(self) -> None:
        """No page that somebody looks at on this machine gives orders."""
        for origin in ("http://evil.example", "null", "http://localhost:8000"):
            self.assertEqual(403, self.ask("POST /shutdown", f"Origin: {origin}").status)
        self.assertEqual([], self.proxy.done)

    def test_long_body(self) -> None:
        """A body without end is not kept, and no order."""
        channel, transport = self.connect()
        channel.dataReceived(b"POST /shutdown HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(64):
            channel.dataReceived(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")
        content = channel._channel.requests[0].content
        self.assertLess(content.seek(0, 2), 100_000)
        channel.dataReceived(b"0\r\n\r\n")
        self.assertEqual((413, []), (Answer(transport.value()).status, self.proxy.done))
