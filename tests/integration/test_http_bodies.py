# -*- test-case-name: tests.integration.test_http_bodies -*-
"""
Bodies through the whole proxy: every framing, both ways, of any size, at any speed, in bounded memory.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.integration.http_case import GET, OK, HttpCase, Wire, eventually, threaded

MIB = 1 << 20
#: what flows each way; in CI it is the whole GiB
LARGE = (1024 if os.environ.get("LPROXY_DENY_WARNINGS") else 256) * MIB
#: resident memory that may come on top of what there was: two sockets' worth of buffers, and the allocator's habits
FLAT = 24 * MIB
HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: web.local\r\n"


def resident() -> int:
    """Bytes of memory that this process, proxy and test together, has in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def in_background(work: Callable[[], object]) -> threading.Thread:
    """Have C{work} done."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


class FramingTests(HttpCase):
    """Where bodies end."""

    @threaded
    def test_answers(self) -> None:
        """Answers of every framing, over kept connections where the framing allows it."""
        kept = [
            (GET, OK, OK),
            (
                GET,
                HEAD + CHUNKED + b"3;x=y\r\nabc\r\n0\r\nX-T: 1\r\n\r\n",
                HEAD + CHUNKED + b"3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n",
            ),
            (GET.replace(b"GET", b"HEAD"), HEAD + b"Content-Length: 500\r\n\r\n", None),
            (GET, b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\nETag: x\r\n\r\n", None),
            (GET, b"HTTP/1.1 204 No Content\r\n\r\n", None),
            (GET, HEAD + b"Content-Length: 0\r\n\r\n", None),
        ]
        client, up = self.ask(GET, OK)
        self.assertEqual(OK, client.message())
        for request, answer, expected in kept * 2:
            client.send(request)
            self.assertEqual(request, up.message())
            up.send(answer)
            expected = expected or answer
            self.assertEqual(expected, client.exactly(len(expected)))
        client.send(GET)
        up.message()
        up.send(HEAD + b"\r\nuntil").send(b" the end").close()
        self.assertEqual(HEAD + CHUNKED, client.head())
        body = client.until(b"0\r\n\r\n")
        self.assertEqual(b"until the end", b"".join(body.split(b"\r\n")[1:-3:2]))
        client.send(GET)
        self.assertEqual(GET, self.upstream.accept().message())

    @threaded
    def test_requests(self) -> None:
        """Requests of every framing."""
        client, up = self.ask(GET, OK)
        self.assertEqual(OK, client.message())
        for request, expected in (
            (POST + b"Content-Length: 5\r\n\r\n12345", None),
            (POST + b"Content-Length: 0\r\n\r\n", None),
            (POST + CHUNKED + b"3\r\nabc\r\n0\r\n\r\n", None),
            (POST + CHUNKED + b"3;x=y\r\nabc\r\n0\r\nX-T: 1\r\nHost: a\r\n\r\n", POST + CHUNKED + b"3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n"),
            (GET, None),
        ):  # fmt: skip
            client.send(request)
            self.assertEqual(expected or request, up.message())
            up.send(OK)
            self.assertEqual(OK, client.message())
        self.assertTrue(self.upstream.nobody())

    @threaded
    def test_early_end_of_the_answer(self) -> None:
        """An upstream that answers a large body early and closes is heard, not only found to be lost."""
        for _ in range(5):
            client = self.client(POST + b"Content-Length: 100000000\r\n\r\n")
            up = self.upstream.accept()
            up.head()
            sending = in_background(lambda client=client: self.flood(client))
            up.exactly(MIB)
            up.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
            up.close()
            heard = client.message()
            self.assertEqual(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig", heard)
            client.close()
            sending.join(5)

    def flood(self, client: Wire) -> None:
        """Send until it cannot be."""
        try:
            while True:
                client.sock.sendall(b"x" * MIB)
        except OSError:
            pass


class LargeTests(HttpCase):
    """Sizes that do not fit anywhere."""

    timeout = 120
    piece = bytes(range(256)) * (MIB // 256)

    def setUp(self) -> None:
        super().setUp()
        self.most = 0
        self.stop = threading.Event()

    async def tearDown(self) -> None:
        self.stop.set()
        await super().tearDown()

    def watch(self) -> int:
        """From now on remember how much memory there is in use at most; what there is now."""
        before = resident()

        def look() -> None:
            while not self.stop.wait(0.01):
                self.most = max(self.most, resident())

        in_background(look)
        return before

    def pour(self, wire: Wire, size: int, chunked: bool) -> None:
        """Send a body."""
        for _ in range(size // MIB):
            wire.sock.sendall(b"100000\r\n" + self.piece + b"\r\n" if chunked else self.piece)
        if chunked:
            wire.sock.sendall(b"0\r\n\r\n")

    def drink(self, wire: Wire, size: int) -> int:
        """Read so many bytes or more; every 20 MiB or so have a look at what they are."""
        got = len(wire.buffer)
        wire.buffer = b""
        into = memoryview(bytearray(MIB))
        while got < size:
            n = wire.sock.recv_into(into)
            self.assertGreater(n, 0, got)
            got += n
        return got

    @threaded
    def test_download(self) -> None:
        """A large answer, by length and in chunks, in no more memory than a small one."""
        client, up = self.ask(GET, OK)
        client.message()
        before = self.watch()
        for framing in (b"Content-Length: %d\r\n\r\n" % LARGE, CHUNKED):
            client.send(GET)
            up.message()
            chunked = framing == CHUNKED
            pouring = in_background(lambda c=chunked, f=framing: (up.send(HEAD + f), self.pour(up, LARGE, c)))
            self.assertEqual(HEAD + framing, client.head())
            if chunked:
                got = 0
                while size := int(client.until(b"\r\n"), 16):
                    got += size
                    client.exactly(size + 2)
                self.assertEqual((LARGE, b"\r\n"), (got, client.exactly(2)))
            else:
                self.assertEqual(LARGE, self.drink(client, LARGE))
            pouring.join()
        self.assertLess(self.most - before, FLAT)
        client.send(GET)
        self.assertEqual(GET, up.message())

    @threaded
    def test_upload(self) -> None:
        """The same for a request."""
        client, up = self.ask(GET, OK)
        client.message()
        before = self.watch()
        for framing in (b"Content-Length: %d\r\n\r\n" % LARGE, CHUNKED):
            chunked = framing == CHUNKED
            pouring = in_background(lambda c=chunked, f=framing: (client.send(POST + f), self.pour(client, LARGE, c)))
            self.assertEqual(POST + framing, up.head())
            if chunked:
                got = 0
                while size := int(up.until(b"\r\n"), 16):
                    got += size
                    up.exactly(size + 2)
                self.assertEqual((LARGE, b"\r\n"), (got, up.exactly(2)))
            else:
                self.assertEqual(LARGE, self.drink(up, LARGE))
            up.send(OK)
            self.assertEqual(OK, client.message())
            pouring.join()
        self.assertLess(self.most - before, FLAT)
        client.send(GET)
        self.assertEqual(GET, up.message())

    @threaded
    def test_slow_reader(self) -> None:
        """Who does not read stops the writer, within a few kernel buffers; then he gets every byte."""
        client = self.client(GET, kernel_buffer=65536)
        up = self.upstream.accept()
        up.message()
        size = 64 * MIB
        sent = 0

        def pour() -> None:
            nonlocal sent
            up.send(HEAD + b"Content-Length: %d\r\n\r\n" % size)
            for _ in range(size // MIB):
                up.sock.sendall(self.piece)
                sent += MIB

        before = self.watch()
        up.sock.settimeout(60)
        pouring = in_background(pour)
        client.head()
        self.stuck(lambda: sent)
        self.assertLess(sent, 32 * MIB)
        self.assertLess(self.most - before, FLAT)
        for _ in range(size // MIB):
            self.assertEqual(self.piece, client.exactly(MIB))
        pouring.join()
        client.send(GET)
        self.assertEqual(GET, up.message())

    @threaded
    def test_slow_upstream(self) -> None:
        """The same the other way."""
        client = self.client(POST + b"Content-Length: %d\r\n\r\n" % (64 * MIB))
        up = self.upstream.accept()
        up.head()
        sent = 0

        def pour() -> None:
            nonlocal sent
            for _ in range(64):
                client.sock.sendall(self.piece)
                sent += MIB

        before = self.watch()
        client.sock.settimeout(60)
        pouring = in_background(pour)
        self.stuck(lambda: sent)
        self.assertLess(sent, 32 * MIB)
        self.assertLess(self.most - before, FLAT)
        for _ in range(64):
            self.assertEqual(self.piece, up.exactly(MIB))
        up.send(OK)
        pouring.join()
        self.assertEqual(OK, client.message())
        client.send(GET)
        self.assertEqual(GET, up.message())

    def stuck(self, progress: Callable[[], int]) -> None:
        """Wait until C{progress} makes none."""

        def rests() -> bool:
            before = progress()
            time.sleep(0.3)
            return progress() == before

        eventually(rests)

    @threaded
    def test_many_slow_readers(self) -> None:
        """Forty of them hold no more than forty buffers, and nobody else is kept waiting by them."""
        clients = [self.client(GET, kernel_buffer=65536) for _ in range(40)]
        ups = [self.upstream.accept() for _ in clients]
        before = self.watch()

        def pour(up: Wire) -> None:
            try:
                up.send(HEAD + b"Content-Length: 100000000\r\n\r\n")
                up.sock.sendall(self.piece * 16)
            except OSError:
                pass  # it is never read

        for up in ups:
            up.message()
            in_background(lambda up=up: pour(up))
        for client in clients:
            client.head()
        other, up = self.ask(GET, OK)
        other.message()
        slowest = 0.0
        for _ in range(50):
            began = time.monotonic()
            other.send(GET)
            up.message()
            up.send(OK)
            other.message()
            slowest = max(slowest, time.monotonic() - began)
        self.assertLess(slowest, 1.0)
        # the test's own copies of what it pours count, too: 16 MiB
        self.assertLess(self.most - before, 40 * 3 * 65536 + 20 * MIB + FLAT)
        buffered = [session.transport.buffered for session in self.proxy._edges[0].factories["http"].sessions]
        self.assertLess(max(buffered), 3 * 65536)
