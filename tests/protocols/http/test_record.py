# -*- test-case-name: tests.protocols.http.test_record -*-
"""
L{lproxy.protocols.http.record}: what is said about a session.
"""

from __future__ import annotations

import json

from lproxy.app.lines import lines
from lproxy.config import Limits
from lproxy.transport.stream import Secured
from tests.protocols.http.harness import GET, OK, HttpTestCase, get, ok


class AccountTests(HttpTestCase):
    """Counters, log and C{/connections}."""

    def test_counted(self) -> None:
        """Requests and answers by status, ours included, with their times."""
        client = self.client(GET)
        self.wait(0.5)
        self.say(self.up, OK)
        self.say(client, GET)
        self.say(self.up, ok(status="404 No"))
        self.proxy.connector.mode = "refuse"
        self.up.hang_up()
        self.settle()
        self.say(client, GET)
        counter = self.factory.metrics.route("web.test")
        self.assertEqual((3, {200: 1, 404: 1, 502: 1}), (counter.requests, counter.responses))
        self.assertAlmostEqual(500.0, counter.latency.total)
        self.assertEqual((3, 3), (sum(counter.latency.counts), sum(counter.overhead.counts)))

    def test_abandoned(self) -> None:
        """A request that was never answered is a request, and no answer."""
        self.client(GET).reset()
        self.settle()
        counter = self.factory.metrics.route("web.test")
        self.assertEqual((1, {}), (counter.requests, counter.responses))

    def test_cut(self) -> None:
        """An answer that its upstream does not end is a failure; one that its client has enough of is none."""
        for upstream in (True, False):
            self.start()
            client = self.client(GET)
            self.say(self.up, ok(b"a", length=2))
            (self.up if upstream else client).reset()
            self.settle()
            counter = self.factory.metrics.route("web.test")
            expected: tuple[dict[int, int], dict[int, int]] = ({200: 1}, {}) if upstream else ({}, {200: 1})
            self.assertEqual(expected, (counter.cut, counter.responses))

    def test_log(self) -> None:
        """A line for each request, with everything that was asked most."""
        self.client(get("/a?b=c"))
        self.wait(0.25)
        self.say(self.up, OK)
        self.assertEqual(
            [
                {
                    "kind": "request",
                    "listener": "scripted",
                    "client": "10.0.0.1:40000",
                    "method": "GET",
                    "authority": "web.test",
                    "path": "/a?b=c",
                    "protocol": "HTTP/1.1",
                    "status": 200,
                    "grpc_status": None,
                    "target": "upstream.test:9000",
                    "route": None,
                    "upstream": "10.0.0.9:9000",
                    "tries": 1,
                    "seconds": 0.25,
                    "acquire_seconds": 0.0,
                    "upstream_head_seconds": 0.25,
                    "upstream_seconds": 0.25,
                    "bytes_in": 0,
                    "bytes_out": 2,
                    "user_agent": None,
                    "referer": None,
                    "forwarded_for": None,
                    "request_id": None,
                    "trace_id": None,
                    "flags": "",
                }
            ],
            self.proxy.records,
        )

    def test_log_secured(self) -> None:
        """Of one who came by TLS, who that was."""
        self.client(GET, tls=Secured(version="TLSv1.3", local_identity="b.mesh", remote_identity="a.mesh"))
        self.say(self.up, OK)
        (row,) = self.proxy.records
        self.assertEqual(("TLSv1.3", "a.mesh"), (row["tls"], row["remote_identity"]))

    def test_log_rejected(self) -> None:
        """What was refused has a line, but no request."""
        client = self.client(b'GET /\xff\x1b" HTTP/1.1\r\nHost: \x00\r\n\r\n')
        (row,) = self.proxy.records
        self.assertEqual((400, "IH", None, 0.0), (row["status"], row["flags"], row["path"], row["seconds"]))
        self.assertEqual((0, len(client.heard.partition(b"\r\n\r\n")[2])), (row["bytes_in"], row["bytes_out"]))
        # as other programs read it: where they expect numbers there are some
        self.assertIn('" 400 IH 0 ', lines("envoy")(row, 0.0))

    def test_hostile(self) -> None:
        """Whatever a peer says, the log has one line of JSON, and nothing in it steers a terminal."""
        self.client(get("/\"\\<script>'%0d%0a;`$(x)", "X: \x80\xff"))
        self.say(self.up, OK)
        (row,) = self.proxy.records
        line = json.dumps(row)
        self.assertEqual("/\"\\<script>'%0d%0a;`$(x)", json.loads(line)["path"])
        self.assertTrue(line.isascii() and line.isprintable())
        for raw in (b"\x1b[2J", b"\xff\xfe", b"a\r\nb", b"\x00"):
            client = self.client(
                b"GET /" + raw + b" HTTP/1.1\r\nHost: " + raw + b"\r\n" + raw + b": " + raw + b"\r\n\r\n"
            )
            self.assertRegex(client.heard, b"^HTTP/1.1 400 ")
            self.wait(3)
            self.assertTrue(json.dumps(self.proxy.records[-1]).isprintable())
            self.assertTrue(all(c.isascii() for c in client.heard.decode("latin-1")), client.heard)

    def test_no_log(self) -> None:
        """Where it is off there is none."""
        self.start(access=None)
        client = self.client(GET)
        self.say(self.up, OK)
        self.assertEqual(OK, self.heard(client))
        client.say(b"nonsense\r\n\r\n")
        self.settle()
        self.assertEqual([], self.proxy.records)

    def test_described(self) -> None:
        """Every state of a connection can be seen."""
        client = self.client()

        def seen() -> tuple[object, ...]:
            row = self.session().describe()
            json.dumps(row)
            self.assertIn(row["state"], repr(self.session()))
            return row["state"], row["target"], row["request"], row["upstream"], row["requests"]

        self.assertEqual(("idle", None, None, None, 0), seen())
        self.say(client, GET[:9])
        self.assertEqual(("head", None, None, None, 0), seen())
        self.proxy.connector.mode = "wait"
        self.say(client, GET[9:])
        self.assertEqual(("acquiring", "upstream.test:9000", "GET /", None, 1), seen())
        age = self.session().describe()["request_seconds"]
        self.proxy.reactor.advance(0.25)
        self.assertAlmostEqual(age + 0.25, self.session().describe()["request_seconds"], 3)
        self.proxy.connector.accept()
        self.assertEqual(("calling", "upstream.test:9000", "GET /", "10.0.0.9:9000", 1), seen())
        self.say(self.up, OK)
        self.assertEqual(("idle", None, None, None, 1), seen())
        self.say(client, b"\x00\r\n\r\n")
        self.assertEqual(("linger", None, None, None, 1), seen())
        row = self.session().describe()
        self.assertEqual(("scripted", "http", "10.0.0.1:40000"), (row["listener"], row["protocol"], row["client"]))
        self.assertEqual((len(GET) + 5, len(client.heard)), (row["bytes_in"], row["bytes_out"]))

    def test_warned(self) -> None:
        """Failures and refusals are log lines that name listener and client."""
        self.proxy.connector.mode = "refuse"
        self.client(GET)
        self.assertIn("listener scripted: client 10.0.0.1: connect: 10.0.0.9:9000 refused", self.proxy.warnings[-1])
        (parts,) = self.proxy.failed
        self.assertEqual(("connect", "upstream.test:9000", 0.0), (parts.layer, parts.target, parts.waited))
        self.assertIn("connect: 10.0.0.9:9000 refused", parts.cause)
        self.client(b"GET / HTTP/1.1\r\n\r\n")
        self.assertEqual("listener scripted: client 10.0.0.1: refused (host): no Host field", self.proxy.warnings[-1])


class MayTellTests(HttpTestCase):
    """Who is told what went wrong in the C{l5d-proxy-error} field."""

    limits = Limits()

    def told(self, direction: str, address: str) -> bool:
        """Whether a client from C{address} is."""
        from unittest.mock import patch

        from lproxy.testing import proxy

        self.start(listen={"direction": direction})
        self.proxy.connector.mode = "refuse"
        with patch.object(proxy, "CLIENT", (address, 1)):
            return b"l5d-proxy-error: connect: " in self.client(GET).heard

    def test_who(self) -> None:
        """The application next door, on whichever side of us it is; nobody from elsewhere."""
        self.assertTrue(self.told("outbound", "10.0.0.1"))
        self.assertTrue(self.told("inbound", "127.0.0.1"))
        self.assertTrue(self.told("inbound", "::1"))
        self.assertFalse(self.told("inbound", "10.0.0.1"))
