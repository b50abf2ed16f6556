# -*- test-case-name: tests.integration.test_http_retry -*-
"""
Kept upstream connections that die, through the whole proxy and real sockets.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from twisted.internet.threads import blockingCallFromThread

from lproxy.config import Config, Service
from tests.integration.http_case import GET, MOMENT, OK, HttpCase, Upstream, Wire, reactor, threaded

BODY = bytes(range(256)) * 100
PUT = b"PUT / HTTP/1.1\r\nHost: web.local\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
POST = PUT.replace(b"PUT", b"POST")


class RetryTests(HttpCase):
    """Once more, or not."""

    def kept(self) -> tuple[Wire, Wire]:
        """A client, and the upstream connection that is kept after its request."""
        client, up = self.ask(GET, OK)
        self.assertEqual(OK, client.message())
        return client, up

    @threaded
    def test_dies_as_it_is_used(self) -> None:
        """What may be sent twice is, byte for byte, on a fresh connection; the client notices nothing."""
        for request in (GET, PUT, PUT.replace(b"PUT", b"DELETE")):
            for how in ("close", "reset"):
                client, up = self.kept()
                client.send(request)
                self.assertEqual(request, up.message())
                getattr(up, how)()
                up = self.upstream.accept()
                self.assertEqual(request, up.message())
                up.send(OK)
                self.assertEqual(OK, client.message())
                up.close()
                time.sleep(0.02)
        self.assertEqual({}, self.errors)

    @threaded
    def test_not_twice(self) -> None:
        """Nor ever a third time."""
        client, up = self.kept()
        client.send(GET)
        up.message()
        up.close()
        up = self.upstream.accept()
        up.message()
        up.close()
        self.assertRegex(client.message(), b"^HTTP/1.1 502 ")
        self.assertTrue(self.upstream.nobody())

    @threaded
    def test_not_idempotent(self) -> None:
        """A POST that the upstream may have acted upon is not sent again."""
        client, up = self.kept()
        client.send(POST)
        self.assertEqual(POST, up.message())
        up.close()
        self.assertRegex(client.message(), b"^HTTP/1.1 502 ")
        self.assertTrue(self.upstream.nobody())

    @threaded
    def test_closed_already(self) -> None:
        """A POST that comes in the moment the upstream closes its idle connection is not lost, time after time."""
        for n in range(50):
            client, up = self.kept()
            if n % 2:
                # before: the proxy finds both in the same turn, or nearly so
                up.close()
                client.send(POST)
            else:
                closing = threading.Thread(target=up.close)
                closing.start()
                client.send(POST)
                closing.join()
            if n % 2 == 0:
                # whether it was read before it was closed decides: an answer either way, and never two tries of what
                # the upstream may have read
                try:
                    second = self.upstream.accept(0.1)
                except TimeoutError:
                    self.assertRegex(client.message(), b"^HTTP/1.1 502 ")
                    continue
            else:
                second = self.upstream.accept()
            self.assertEqual(POST, second.message())
            second.send(OK)
            self.assertEqual(OK, client.message())
            second.close()
            time.sleep(0.01)

    @threaded
    def test_long_body(self) -> None:
        """A body that is still coming goes whole to the connection that lives, or to none."""
        client, up = self.kept()
        up.close()
        time.sleep(MOMENT)
        client.send(POST[:1000])
        time.sleep(MOMENT)
        client.send(POST[1000:])
        up = self.upstream.accept()
        self.assertEqual(POST, up.message())
        up.send(OK)
        self.assertEqual(OK, client.message())
        client.send(PUT[:1000])
        up.exactly(1000)
        up.close()
        self.assertRegex(client.rest(), b"^HTTP/1.1 502 ")
        self.assertTrue(self.upstream.nobody())

    @threaded
    def test_expires(self) -> None:
        """Kept connections go after a while by themselves."""
        self.again(outbound={"upstream_idle": 0.2})
        _, up = self.kept()
        self.assertEqual("eof", up.end(2.0))

    @threaded
    def test_many(self) -> None:
        """An upstream that closes every connection right behind its answer costs no client a request."""
        stop = threading.Event()

        def serve() -> None:
            while not stop.is_set():
                try:
                    up = self.upstream.accept(0.2)
                    up.message()
                    up.send(OK).close()
                except (EOFError, OSError):
                    pass

        serving = threading.Thread(target=serve)
        serving.start()
        try:
            client = self.client()
            for _ in range(200):
                client.send(GET)
                self.assertEqual(OK, client.message())
        finally:
            stop.set()
            serving.join()

    @threaded
    def test_idle_408(self) -> None:
        """What an upstream says to an idle connection before it has the request is never the answer to that."""
        timeout = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        for request in (GET, POST):
            for said in (timeout, OK.replace(b"ok", b"no")):
                client, up = self.kept()
                time.sleep(0.02)

                def at_once(client: Wire = client, up: Wire = up, request: bytes = request, said: bytes = said) -> None:
                    up.send(said).close()
                    client.send(request)

                # in the reactor's own thread: the proxy finds both when it looks again
                blockingCallFromThread(reactor, at_once)
                up = self.upstream.accept()
                self.assertEqual(request, up.message())
                up.send(OK)
                self.assertEqual(OK, client.message())
                up.close()
                time.sleep(0.02)
        self.assertEqual({}, self.errors)


class EndpointsTests(HttpCase):
    """A service of two endpoints, one of which dies."""

    def config(self) -> Config:
        """With both."""
        self.other = self.new_upstream()
        config = super().config()
        endpoints = (self.upstream.address, self.other.address)
        return replace(config, services={"web.local:80": Service("web.local:80", endpoints)})

    def serve(self, upstream: Upstream, answer: Callable[[Wire], None]) -> None:
        """Have C{upstream} accept, and C{answer} each connection in a thread of its own, until it is closed."""

        def each(wire: Wire) -> None:
            try:
                answer(wire)
            except (EOFError, OSError):
                wire.close()

        def accept() -> None:
            while True:
                try:
                    wire = upstream.accept(20.0)
                except (TimeoutError, OSError):
                    return
                threading.Thread(target=each, args=(wire,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()

    def answer(self, wire: Wire) -> None:
        """Everything, as it should be."""
        while True:
            wire.message()
            wire.send(OK)

    @threaded
    def test_dies(self) -> None:
        """One that goes with all its connections costs nobody an answer: what was sent to it is sent to the other."""
        self.serve(self.upstream, self.answer)
        self.serve(self.other, self.answer)
        clients = [self.client(GET) for _ in range(20)]
        for client in clients:
            self.assertEqual(OK, client.message())
        for sock in (self.upstream.sock, *(wire.sock for wire in self.upstream.wires)):
            # closing would wait for the threads that read
            sock.shutdown(socket.SHUT_RDWR)
        for _ in range(5):
            for client in clients:
                client.send(GET)
            for client in clients:
                self.assertEqual(OK, client.message())
        self.assertEqual({}, self.errors)

    @threaded
    def test_errors(self) -> None:
        """
        One that answers everything with an error, and at once, does not attract the load: after a few of them it gets
        none but its probes, and when it is well again it serves again.
        """
        well = threading.Event()
        seen = {"bad": 0, "well": 0}

        def fail(wire: Wire) -> None:
            while True:
                wire.message()
                seen["well" if well.is_set() else "bad"] += 1
                wire.send(OK if well.is_set() else OK.replace(b"200 OK", b"503 Busy"))

        self.again(outbound={"backoff_max": 0.5})
        self.serve(self.upstream, fail)
        self.serve(self.other, self.answer)
        client = self.client()
        for _ in range(500):
            client.send(GET)
            client.message()
        self.assertTrue(1 <= seen["bad"] <= 12, seen)
        well.set()
        end = time.monotonic() + 5.0
        while seen["well"] < 20 and time.monotonic() < end:
            client.send(GET)
            self.assertEqual(OK, client.message())
            time.sleep(0.005)
        self.assertGreaterEqual(seen["well"], 20)

    @threaded
    def test_hangs_up(self) -> None:
        """One that takes every request and hangs up on it is left for the other."""

        def hang_up(wire: Wire) -> None:
            wire.message()
            wire.reset()

        self.serve(self.upstream, hang_up)
        self.serve(self.other, self.answer)
        for _ in range(40):
            client = self.client(GET)
            self.assertEqual(OK, client.message())
            client.close()
        self.assertEqual({}, self.errors)
