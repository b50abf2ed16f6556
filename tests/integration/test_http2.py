# -*- test-case-name: tests.integration.test_http2 -*-
"""
Clients that speak HTTP/2, through the whole proxy: those that everybody has, and a bad one.
"""

from __future__ import annotations

import re
import resource
import subprocess
import time
from dataclasses import replace
from statistics import quantiles
from threading import Event, Thread

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, StreamReset
from h2.exceptions import ProtocolError

from lproxy.config import Config, Service
from lproxy.protocols.http.h2 import faults
from tests.components import require
from tests.integration.http_case import OK, HttpCase, Wire, threaded

#: seconds for which a healthy client is looked at
WHILE = 1.5


class Http2Case(HttpCase):
    """C{web.local}, and the upstream as a fixed target, speak HTTP/1; all listeners of L{HttpCase} are there."""

    def config(self) -> Config:
        config = super().config()
        fixed = self.upstream.address
        listen = tuple(replace(one, target="service:fixed") if one.target == fixed else one for one in config.listen)
        services = {
            name: Service(name, (fixed,), protocol="http1") for name in ("web.local:80", "fixed", "127.0.0.1:80")
        }
        return replace(config, listen=listen, services=services)

    def serve(self, answer: bytes = OK) -> None:
        """Have the upstream answer every request on every connection with C{answer}, until the end of the test."""
        done = Event()
        self.addCleanup(done.set)

        def one(wire: Wire) -> None:
            while not done.is_set():
                try:
                    wire.message()
                    wire.send(answer)
                except (OSError, AssertionError):
                    return

        def accept() -> None:
            while not done.is_set():
                try:
                    wire = self.upstream.accept()
                except OSError:
                    continue
                Thread(target=one, args=(wire,), daemon=True).start()

        Thread(target=accept, daemon=True).start()

    def url(self, port: str, path: str = "/") -> str:
        """Of a listener."""
        return f"http://127.0.0.1:{self.ports[port]}{path}"

    def run_command(self, *command: str) -> str:
        """What it writes."""
        require(command[0])
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        return done.stdout


class Speaker:
    """A client that says what a test wants, and hears what comes of it."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.h2 = H2Connection(
            H2Configuration(client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False)
        )
        self.h2.initiate_connection()
        self.send()

    def send(self) -> None:
        """What there is to say."""
        self.wire.send(self.h2.data_to_send())

    def request(self, *fields: tuple[str, str], end: bool = True) -> int:
        """To C{web.local}; its stream."""
        stream_id = self.h2.get_next_available_stream_id()
        head = [(":method", "GET"), (":scheme", "http"), (":authority", "web.local"), (":path", "/")]
        self.h2.send_headers(stream_id, [*head, *fields], end_stream=end)
        self.send()
        return stream_id

    def until(self, kind: type) -> object:
        """The next event of C{kind}, whatever comes before it."""
        while True:
            data = self.wire.sock.recv(65536)
            if not data:
                raise AssertionError("closed")
            for event in self.h2.receive_data(data):
                if isinstance(event, kind):
                    return event
            self.send()


class ClientTests(Http2Case):
    """Programs that everybody has."""

    @threaded
    def test_curl(self) -> None:
        """curl, with prior knowledge, whether it is detected or configured; HTTP/1 goes on beside it."""
        self.serve()
        for port in ("fixed", "plain"):
            for version, said in (("--http2-prior-knowledge", "2"), ("--http1.1", "1.1")):
                out = self.run_command("curl", "-sS", version, "-w", " %{http_version} %{http_code}", self.url(port))
                self.assertEqual(f"ok {said} 200", out)

    @threaded
    def test_curl_body(self) -> None:
        """A body, up and down, through all windows."""
        self.serve(b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000)
        command = ("curl", "-sS", "--http2-prior-knowledge", "--data-binary", "@-", "-o", "/dev/null", "-w")
        done = subprocess.run(
            [*command, "%{size_upload} %{size_download} %{http_code}", self.url("fixed")],
            input=b"y" * 2_000_000,
            capture_output=True,
            timeout=60,
        )
        self.assertEqual(b"2000000 3000000 200", done.stdout, done.stderr)

    @threaded
    def test_nghttp(self) -> None:
        """nghttp, whose streams depend on others, by authority."""
        self.serve()
        out = self.run_command("nghttp", "-v", "-m", "20", "-H", ":authority: web.local", self.url("web"))
        self.assertEqual(20, out.count(":status: 200"))
        self.assertNotIn("RST_STREAM", out)
        self.assertNotIn("GOAWAY frame <length=8, flags=0x00, stream_id=0>\n          (last_stream_id=1", out)

    @threaded
    def test_h2load(self) -> None:
        """h2load: many at a time, on several connections, all answered."""
        self.serve()
        out = self.run_command("h2load", "-n", "2000", "-c", "4", "-m", "25", self.url("plain"))
        self.assertRegex(out, r"2000 succeeded, 0 failed, 0 errored, 0 timeout")
        self.assertRegex(out, r"status codes: 2000 2xx")


class BadClientTests(Http2Case):
    """One that is not."""

    @threaded
    def test_nothing_upstream(self) -> None:
        """Nothing of a malformed request becomes a byte of HTTP/1; the connection is good for the next one."""
        speaker = Speaker(self.client())
        for field in (
            ("x", "a\r\ny: b"),
            ("x\r\ny", "b"),
            ("x", "a\0"),
            ("connection", "close"),
            ("transfer-encoding", "chunked"),
            ("te", "gzip"),
            ("X-Upper", "a"),
            (":path", "/second"),
            ("host", "other.local"),
            ("content-length", "5"),
        ):
            one = speaker.request(field)
            reset = speaker.until(StreamReset)
            assert isinstance(reset, StreamReset)
            self.assertEqual((one, faults.PROTOCOL_ERROR), (reset.stream_id, reset.error_code), field)
        self.assertTrue(self.upstream.nobody())
        speaker.request()
        self.assertEqual(b"GET / HTTP/1.1\r\nhost: web.local\r\n\r\n", self.upstream.accept().message())
        self.assertEqual(10, sum(self.rejected.values()))

    @threaded
    def test_split(self) -> None:
        """Detection waits for a preface that comes byte by byte, and decides."""
        connection = H2Connection(H2Configuration(client_side=True))
        connection.initiate_connection()
        connection.send_headers(
            1, [(":method", "GET"), (":scheme", "http"), (":authority", "web.local"), (":path", "/")], end_stream=True
        )
        wire = self.client()
        for byte in connection.data_to_send():
            wire.send(bytes((byte,)))
        self.assertEqual(b"GET / HTTP/1.1\r\nhost: web.local\r\n\r\n", self.upstream.accept().message())

    def p99(self, seconds: float = WHILE) -> float:
        """Of a healthy client's requests, one after the other, in milliseconds."""
        took = []
        end = time.monotonic() + seconds
        client = self.client()
        while time.monotonic() < end:
            began = time.monotonic()
            client.send(b"GET / HTTP/1.1\r\nHost: web.local\r\n\r\n")
            client.message()
            took.append((time.monotonic() - began) * 1000.0)
        client.close()
        return quantiles(took, n=100)[98]

    def flood(self, rounds: int = 2_000) -> int:
        """A client that takes its requests back, until it is stopped; how many it had taken back by then."""
        speaker = Speaker(self.client())
        resets = 0
        try:
            for _ in range(rounds):
                one = speaker.h2.get_next_available_stream_id()
                speaker.h2.send_headers(
                    one, [(":method", "GET"), (":scheme", "http"), (":authority", "web.local"), (":path", "/")]
                )
                speaker.h2.reset_stream(one, 8)
                resets += 1
                speaker.send()
        except (OSError, ProtocolError):
            pass
        else:
            goodbye = speaker.until(ConnectionTerminated)
            assert isinstance(goodbye, ConnectionTerminated)
            self.assertEqual(faults.ENHANCE_YOUR_CALM, goodbye.error_code)
        return resets

    @threaded
    def test_rapid_reset(self) -> None:
        """A flood of requests that are taken back is stopped, costs no memory, and is felt by nobody else."""
        self.serve()
        quiet = self.p99()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        flooding = Thread(target=self.flood)
        flooding.start()
        loud = self.p99()
        flooding.join()
        self.assertEqual(1, self.rejected["h2_flood"])
        self.assertLess(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, 32 * 1024)
        # the machine itself is not quiet: what a flood would do to others is seconds
        self.assertLess(loud, 10 * quiet + 100.0)

    @threaded
    def test_unread(self) -> None:
        """A hundred answers of a client that gives no credit hold little memory, and nobody else up."""
        body = b"z" * 1_000_000
        self.serve(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        speaker = Speaker(self.client())
        for _ in range(100):
            speaker.request()
        time.sleep(1.0)
        other = self.client(b"GET / HTTP/1.1\r\nHost: web.local\r\n\r\n")
        self.assertEqual(body, other.message().partition(b"\r\n\r\n")[2])
        row = next(row for row in self.connections() if row.get("version") == "HTTP/2")
        waiting = [stream for stream in row["streams"] if stream["waits_for_credit"]]
        self.assertEqual((100, 100), (len(row["streams"]), len(waiting)))
        self.assertLess(sum(stream["kept"] for stream in waiting), 100 * 65536)
        # the upstream is in this process, too, and holds what it could not send
        self.assertLess(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, 160 * 1024)
        self.assertTrue(re.fullmatch(r"open", row["state"]))
        speaker.wire.reset()
