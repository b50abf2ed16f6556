# -*- test-case-name: tests.integration.test_http -*-
"""
HTTP/1 through the whole proxy: its connections, its failures, its limits.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from pathlib import Path
from typing import Any

from lproxy.config import AccessLog, Listen, Service
from tests.integration.http_case import CLOSING, GET, MOMENT, OK, PATIENCE, HttpCase, Wire, eventually, threaded


def get(path: str = "/", *fields: str, host: str = "web.local", method: str = "GET", version: str = "1.1") -> bytes:
    """A request."""
    return "\r\n".join([f"{method} {path} HTTP/{version}", f"Host: {host}", *fields, "", ""]).encode()


class ConnectionTests(HttpCase):
    """Keep-alive, pooling and pipelining."""

    @threaded
    def test_keep_alive(self) -> None:
        """One connection on each side carries everything."""
        client, up = self.ask(GET, OK)
        self.assertEqual(OK, client.message())
        for n in range(50):
            client.send(get(f"/{n}"))
            self.assertEqual(get(f"/{n}"), up.message())
            up.send(OK)
            self.assertEqual(OK, client.message())
        self.assertTrue(self.upstream.nobody())

    @threaded
    def test_shared(self) -> None:
        """A kept upstream connection serves whatever client comes next, from whatever listener with the same target."""
        client, up = self.ask(GET, OK, port="fixed")
        # only then it is free
        self.assertEqual(OK, client.message())
        for port in ("fixed", "plain", "fixed"):
            client = self.client(GET, port=port)
            self.assertEqual(GET, up.message())
            up.send(OK)
            self.assertEqual(OK, client.message())

    @threaded
    def test_pipelined(self) -> None:
        """A thousand requests in one go are answered in order."""
        requests = [get(f"/{n}") for n in range(1000)]
        client = self.client(b"".join(requests))
        up = self.upstream.accept()
        for n, request in enumerate(requests):
            self.assertEqual(request, up.message())
            up.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n%03d" % n)
        for n in range(1000):
            self.assertTrue(client.message().endswith(b"%03d" % n))

    @threaded
    def test_pipelined_failures(self) -> None:
        """So are a thousand that nobody can serve."""
        self.upstream.sock.close()
        client = self.client(GET * 1000)
        for _ in range(1000):
            self.assertRegex(client.message(), b"^HTTP/1.1 50[23] ")
        self.assertEqual(1000, sum(self.errors.values()))

    @threaded
    def test_http10(self) -> None:
        """HTTP/1.0 clients: the answer without chunks, and the end; or kept, where they ask and it is possible."""
        old = get(version="1.0")
        chunks = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        client = self.client(old)
        up = self.upstream.accept()
        self.assertEqual(GET, up.message())
        up.send(chunks)
        self.assertEqual(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc", client.rest())
        client = self.client(get("/", "Connection: keep-alive", version="1.0") * 2)
        for _ in range(2):
            self.assertEqual(GET, up.message())
            up.send(OK)
            self.assertEqual(OK.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n"), client.message())
        self.assertTrue(client.silent())
        client = self.client(b"GET / HTTP/1.0\r\n\r\n", port="fixed")
        up = self.upstream.accept()
        self.assertEqual(f"GET / HTTP/1.1\r\nHost: {self.upstream.address}\r\n\r\n".encode(), up.message())
        up.send(b"HTTP/1.0 200 OK\r\n\r\nuntil the end").close()
        self.assertEqual(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end", client.rest())

    @threaded
    def test_hop_by_hop(self) -> None:
        """What belongs to a connection stays on it, both ways; l5d- fields are ours alone."""
        client = self.client(
            get("/", "Connection: x-a, close", "X-A: 1", "TE: gzip", "Keep-Alive: 5", "l5d-x: 1", "A: b", "a:  C")
        )
        up = self.upstream.accept()
        self.assertEqual(get("/", "A: b", "a: C"), up.message())
        up.send(
            b"HTTP/1.1 200 OK\r\nConnection: x-b\r\nX-B: 1\r\nl5d-proxy-error: evil\r\n"
            b"Set-Cookie: a\r\nset-cookie: b\r\nContent-Length: 2\r\n\r\nok"
        )
        expected = (
            b"HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nset-cookie: b\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
        )
        self.assertEqual(expected, client.rest())

    @threaded
    def test_absolute(self) -> None:
        """R02: an absolute target decides, and Host is made to say the same."""
        self.client(get("http://web.local/x?y", host="other.local"))
        self.assertEqual(get("/x?y"), self.upstream.accept().message())

    @threaded
    def test_half_closed(self) -> None:
        """A client that ends behind its request gets its answer."""
        client = self.client(GET).fin()
        up = self.upstream.accept()
        self.assertEqual(GET, up.message())
        up.send(OK)
        self.assertEqual(OK, client.rest())

    @threaded
    def test_leaves(self) -> None:
        """A client that goes takes its upstream request with it, at every stage."""
        for said in (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbegun"):
            client = self.client(GET)
            up = self.upstream.accept()
            up.message()
            up.send(said)
            if said:
                client.head()
            self.assertEqual(1, self.in_flight)
            client.reset()
            self.assertEqual("reset", up.end())
            eventually(lambda: self.in_flight == 0)
        self.assertEqual([], self.connections())

    @threaded
    def test_early_answer(self) -> None:
        """R14: an answer instead of 100 Continue is delivered, whatever the client sends; then both are closed."""
        head = get("/", "Content-Length: 1000000", "Expect: 100-continue", method="POST")
        for sends in (b"", b"x" * 1_000_000):
            client = self.client(head)
            up = self.upstream.accept()
            self.assertEqual(head, up.head())
            up.send(b"HTTP/1.1 417 No\r\nContent-Length: 2\r\n\r\nno")
            client.send(sends)
            self.assertEqual(b"HTTP/1.1 417 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno", client.rest())
            self.assertEqual("reset", up.drained())

    @threaded
    def test_continue(self) -> None:
        """100 Continue and other 1xx are the upstream's to send."""
        head = get("/", "Content-Length: 4", "Expect: 100-continue", method="POST")
        client = self.client(head)
        up = self.upstream.accept()
        self.assertEqual(head, up.head())
        self.assertTrue(client.silent())
        up.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.assertEqual(b"HTTP/1.1 100 Continue\r\n\r\n", client.head())
        client.send(b"body")
        self.assertEqual(b"body", up.exactly(4))
        up.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK)
        self.assertEqual(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", client.head())
        self.assertEqual(OK, client.message())


class CauseTests(HttpCase):
    """The table of causes, from the cause."""

    def failed(self, answer: bytes, status: int, reason: str, *words: str, keep: bool = True) -> None:
        """C{answer} is the right one for a cause."""
        text = answer.decode()
        self.assertRegex(text, rf"^HTTP/1.1 {status} ")
        for word in words:
            self.assertIn(word, text)
        self.assertRegex(text, r"\(after \d+\.\d{3} s\)")
        self.assertIn("l5d-proxy-error: ", text)
        self.assertEqual(not keep, "connection: close" in text)
        self.assertEqual({reason: 1}, self.errors)
        self.forget()

    @threaded
    def test_upstream(self) -> None:
        """An upstream that is lost before its answer, or answers what is no HTTP: 502, and the client may go on."""
        client = self.client()
        end = self.upstream.address
        lost = f"upstream: {end} closed the connection "
        for how, said, *words in (
            ("close", b"", lost + "without an answer"),
            ("reset", b"", f"upstream: {end} reset the connection without an answer"),
            ("close", b"HTTP/1.1 200 OK\r\nX:", lost + "in the middle of its answer's head"),
            ("reset", b"HTTP/1.1 200 OK\r\nX:", f"upstream: {end} reset the connection in the middle"),
        ):
            client.send(GET)
            up = self.upstream.accept()
            up.message()
            if said:
                up.send(said)
                time.sleep(0.05)
            getattr(up, how)()
            self.failed(client.message(), 502, "upstream_lost", *words)
        for said in (b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"):
            client.send(GET)
            up = self.upstream.accept()
            up.message()
            up.send(said)
            self.failed(client.message(), 502, "bad_response", f"upstream: {end} sent a malformed answer: ")
            self.assertEqual("reset", up.end())
        self.upstream.sock.close()
        client.send(GET)
        self.failed(client.message(), 502, "connect", f"connect: {end} refused")

    @threaded
    def test_lost_in_the_body(self) -> None:
        """Half an answer never has a clean end: no last chunk, and a reset."""
        for start in (
            b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
        ):
            for how in ("close", "reset"):
                client, up = self.ask(GET, start)
                self.assertEqual(start, client.exactly(len(start)))
                getattr(up, how)()
                self.assertEqual("reset", client.end())
        client, up = self.ask(GET, b"HTTP/1.1 200 OK\r\n\r\nab")
        client.until(b"ab\r\n")
        up.reset()
        self.assertEqual("reset", client.end())
        self.assertEqual({"upstream_lost": 5}, self.errors)

    @threaded
    def test_after_fin(self) -> None:
        """An upstream that ends behind a whole answer has done nothing wrong."""
        client, up = self.ask(GET, OK)
        up.close()
        self.assertEqual(OK, client.message())
        time.sleep(MOMENT)
        client.send(GET)
        up = self.upstream.accept()
        self.assertEqual(GET, up.message())
        up.send(OK)
        self.assertEqual((OK, {}), (client.message(), self.errors))

    @threaded
    def test_unasked(self) -> None:
        """What an upstream says unasked is no answer to the next request."""
        client, up = self.ask(GET, OK)
        client.message()
        up.send(CLOSING)
        self.assertEqual("reset", up.end())
        client.send(GET)
        up = self.upstream.accept()
        up.message()
        up.send(OK)
        self.assertEqual(OK, client.message())

    @threaded
    def test_no_route(self) -> None:
        """A request that names nothing, where there is nothing else to go by; then one for a name that there is not."""
        client = self.client(b"GET / HTTP/1.0\r\n\r\n")
        self.failed(client.rest(), 404, "no_route", "route: request names no host", keep=False)

    @threaded
    def test_loop(self) -> None:
        """508 for a request to the proxy itself, as a request or as CONNECT, and the end."""
        own = f"127.0.0.1:{self.ports['fixed']}"
        for request in (get(host=own), get(own, host=own, method="CONNECT")):
            client = self.client(request)
            self.failed(client.rest(), 508, "loop", f"connect: {own} is this proxy itself", keep=False)

    @threaded
    def test_in_flight(self) -> None:
        """Over limits.in_flight 503 at once; a kept connection without a request counts for nothing."""
        self.again(limits={"in_flight": 1})
        first, up = self.ask(GET, OK)
        self.assertEqual(OK, first.message())
        second = self.client(GET)
        self.assertEqual(GET, up.message())
        third = self.client(GET)
        self.failed(third.message(), 503, "in_flight", "1 requests in flight (limits.in_flight)")
        up.send(OK)
        self.assertEqual(OK, second.message())
        first.send(GET)
        self.assertEqual(GET, up.message())
        up.send(OK)
        self.assertEqual(OK, first.message())

    @threaded
    def test_response_timeouts(self) -> None:
        """504, where they are configured."""
        self.again(outbound={"response_headers": 0.3})
        client, up = self.ask(GET)
        self.failed(
            client.message(), 504, "response_timeout", "did not answer within 0.3 s (timeouts.response_headers)"
        )
        self.assertEqual("reset", up.end())
        self.again(outbound={"stream": 0.3})
        client, up = self.ask(GET)
        self.failed(
            client.message(), 504, "response_timeout", "web.local:80 did not answer within 0.3 s (timeouts.stream)"
        )

    @threaded
    def test_slow_application(self) -> None:
        """Lessons, item 1: an answer after twice the acquisition timeout, to a slow upload, is nobody's fault."""
        self.again(outbound={"acquire": 0.3, "connect": 0.2, "failfast": 0.2})
        client, up = self.ask(GET)
        time.sleep(0.7)
        up.send(OK)
        self.assertEqual(OK, client.message())
        client.send(get("/", "Content-Length: 26500", method="PUT"))
        for _ in range(10):
            client.send(b"x" * 2650)
            time.sleep(0.1)
        up.head()
        self.assertEqual(b"x" * 26500, up.exactly(26500))
        up.send(OK)
        self.assertEqual((OK, {}), (client.message(), self.errors))

    @threaded
    def test_never_ready(self) -> None:
        """A backend that is never ready fails at the timeout, with the acquisition's error and what it waited for."""
        hole, held = full()
        self.addCleanup(lambda: [sock.close() for sock in (hole, *held)])
        address = "{}:{}".format(*hole.getsockname())
        services = {"web.local:80": Service("web.local:80", (address,))}
        self.again(outbound={"acquire": 1.0, "connect": 30.0, "failfast": 30.0}, services=services)
        began = time.monotonic()
        answer = self.client(GET).message()
        self.assertApproximates(1.0, time.monotonic() - began, 0.15)
        words = f"acquire: web.local:80 not ready within 1 s: while connecting to {address}"
        self.failed(answer, 503, "acquire_timeout", words)
        self.again(outbound={"connect": 0.3}, services=services)
        began = time.monotonic()
        answer = self.client(GET).message()
        self.assertApproximates(0.3, time.monotonic() - began, 0.15)
        self.failed(answer, 504, "connect_timeout", f"connect: {address} did not answer within 0.3 s")
        self.again(outbound={"connect": 30.0, "failfast": 0.3}, services=services)
        answer = self.client(GET).message()
        self.failed(answer, 503, "failfast", "failfast: web.local:80 not ready for 0.3 s, failing at once until it is")

    @threaded
    def test_slow(self) -> None:
        """Slow heads and bodies get 408, slow readers and idle connections the end, each at its own limit."""
        limits = {"header_read": 0.4, "client_idle": 0.8, "body": 0.4, "write": 0.5}
        self.again(outbound=limits)
        began = time.monotonic()
        head, body = self.client(GET[:20]), self.client(get("/", "Content-Length: 4", method="PUT"))
        up = self.upstream.accept()
        up.head()
        idle, kept = self.ask(GET, OK)
        self.assertEqual(OK, idle.message())
        self.assertRegex(head.rest(), b"^HTTP/1.1 408 ")
        self.assertRegex(body.rest(), b"^HTTP/1.1 408 ")
        self.assertGreater(time.monotonic() - began, 0.35)
        self.assertEqual("eof", idle.end())
        self.assertLess(time.monotonic() - began, 2.0)
        kept.close()
        client, up = self.ask(GET)
        up.sock.settimeout(5)
        up.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        with self.assertRaises(OSError):
            up.send(b"x" * 100_000_000)
        with self.assertRaises(ConnectionError):
            while client.sock.recv(1 << 20):
                pass
        self.assertEqual({"slow": 3}, self.rejected)


def full() -> tuple[socket.socket, list[socket.socket]]:
    """A listener whose queue is full, so that whoever connects waits; and those in it."""
    hole = socket.socket()
    hole.bind(("127.0.0.1", 0))
    hole.listen(0)
    held: list[socket.socket] = []
    while True:
        client = socket.socket()
        client.settimeout(0.2)
        held.append(client)
        try:
            client.connect(hole.getsockname())
        except TimeoutError:
            return hole, held


class LogTests(HttpCase):
    """The access log."""

    @threaded
    def test_rows(self) -> None:
        """A line of JSON for each request, with its reason, whatever bytes were in it."""
        path = self.mktemp()
        self.again(access_log=AccessLog(path))
        client, up = self.ask(GET, OK)
        client.message()
        client.send(get("/a\"b\\c%0a'"))
        up.message()
        up.reset()
        self.upstream.accept().close()
        client.message()
        for raw in (b"\x1b[31m", b"\xff\xfe", b"\r", b"\x00", b'"}\n{"'):
            bad = self.client(
                b"GET /" + raw + b" HTTP/1.1\r\nHost: web.local\r\nX" + raw + b": y\r\n\r\n", port="plain"
            )
            with contextlib.suppress(ConnectionError):
                bad.rest()
        self.client(GET)
        self.upstream.accept().message()
        self.wires[-1].reset()
        eventually(lambda: self.in_flight == 0)
        eventually(lambda: b'"DC"' in Path(path).read_bytes())
        raw_lines = Path(path).read_bytes()
        self.assertTrue(raw_lines.isascii())
        rows = [json.loads(line) for line in raw_lines.decode().split("\n")[:-1]]
        found = [(row["status"], row["flags"], row["path"]) for row in rows]
        self.assertEqual((200, "", "/"), found[0])
        self.assertEqual("/a\"b\\c%0a'", found[1][2])
        self.assertEqual([(400, "IH", None)] * 5, found[2:7])
        self.assertEqual((0, "DC", "/"), found[7])
        names = "time kind listener client method authority path protocol status grpc_status target route"
        names += " upstream tries seconds acquire_seconds upstream_head_seconds upstream_seconds bytes_in"
        names += " bytes_out user_agent referer forwarded_for request_id trace_id flags"
        self.assertEqual(set(names.split()), set(rows[0]))


class RoutingTests(HttpCase):
    """Where requests go."""

    def config(self) -> Any:
        from dataclasses import replace

        self.other = self.new_upstream()
        config = super().config()
        listen = (*config.listen, Listen(name="named", address="127.0.0.1:0", target="service:other"))
        services = {**config.services, "other": Service("other", (self.other.address,))}
        return replace(config, listen=listen, services=services)

    def goes(self, upstream: Any, request: bytes, port: str) -> None:
        """C{request} arrives there as it is."""
        client = self.client(request, port=port)
        up: Wire = upstream.accept()
        self.assertEqual(request, up.message())
        up.send(CLOSING)
        self.assertEqual(OK, client.message())

    @threaded
    def test_routes(self) -> None:
        """By authority, whose case and port make no difference or all; to a fixed target, whatever they say."""
        self.goes(self.upstream, GET, "web")
        self.goes(self.upstream, get(host="WEB.local:80"), "web")
        self.goes(self.other, get(host=self.other.address), "web")
        self.goes(self.other, GET, "named")
        self.goes(self.upstream, get(host="no.such.host"), "fixed")
        self.assertEqual(PATIENCE, self.wires[0].sock.gettimeout())
