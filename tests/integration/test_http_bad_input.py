# -*- test-case-name: tests.integration.test_http_bad_input -*-
"""
Bad input through the whole proxy, on listeners that detect: an answer, a count, the end, and not a byte upstream.
"""

from __future__ import annotations

import time

from lproxy.protocols.http.detect import HTTP1, detect
from lproxy.protocols.http.h2.engine import PREFACE
from tests.integration.http_case import GET, OK, HttpCase, Wire, eventually, threaded
from tests.protocols.http.h1.test_refuse import BAD, CHUNKED

#: for listeners that go by Host as well: a name that leads to the upstream
HOST = b"Host: web.local\r\n"


class BadInputTests(HttpCase):
    """Rows of the table, and more."""

    def refused(self, client: Wire, status: int, reason: str, row: object) -> None:
        """C{client} gets that, and the end."""
        try:
            heard = client.rest()
        except (OSError, TimeoutError) as e:
            self.fail(f"{e!r} behind {client.buffer!r}: {row}")
        self.assertRegex(heard, b"^HTTP/1.1 %d " % status, row)
        head, _, body = heard.partition(b"\r\n\r\n")
        self.assertIn(b"\r\nconnection: close", head, row)
        self.assertIn(b"\r\ncontent-length: %d\r\n" % len(body), head + b"\r\n", row)
        self.assertEqual({reason: 1}, self.rejected, row)
        self.forget()
        client.close()

    def nothing_came(self) -> None:
        """A good request is the first that the upstream hears of anybody."""
        for port in ("web", "fixed"):
            client = self.client(GET, port=port)
            while True:
                up = self.upstream.accept()
                # of one that was acquired for nothing the proxy may make use now
                if not (up.silent(0.05) if not up.buffer else False):
                    break
            self.assertEqual(GET, up.message())
            up.send(OK)
            self.assertEqual(OK, client.message())
            up.close()

    @threaded
    def test_heads(self) -> None:
        """Every bad head, in one go and cut where a head may be cut."""
        for row in BAD:
            _, data, status, reason = row
            if data.startswith((CHUNKED, PREFACE)):
                continue  # the rest of one comes after the head; the other is HTTP/2
            data = data.replace(b"Host: a\r\n", HOST)
            # what does not even look like HTTP is refused only where it must be HTTP
            for port in ("web", "fixed", "plain") if detect(data[:2048]) == HTTP1 else ("plain",):
                self.refused(self.client(data, port=port), status, reason, (port, row))
                client = self.client(port=port)
                try:
                    for start in range(0, 60, 15):
                        client.send(data[start : start + 15])
                        time.sleep(0.001)
                    client.send(data[60:])
                except ConnectionError:
                    self.fail(f"reset before it was told: {row}")
                self.refused(client, status, reason, (port, row))
        self.assertEqual({}, self.errors)
        self.nothing_came()

    @threaded
    def test_bodies(self) -> None:
        """Every bad body that comes with its head."""
        for row in BAD:
            _, data, status, reason = row
            if data.startswith(CHUNKED):
                self.refused(self.client(data.replace(b"Host: a\r\n", HOST)), status, reason, row)
        while not self.upstream.nobody(0.05):
            pass
        for up in self.upstream.wires:
            self.assertTrue(up.silent(0.01), up.buffer)

    @threaded
    def test_later(self) -> None:
        """A body that turns bad after it has begun aborts the upstream's request."""
        head = CHUNKED.replace(b"Host: a\r\n", HOST)
        for bad, reason in ((b"0x3\r\n", "chunk_size"), (b"3\r\nabcde", "chunk_end"), (b"3\n", "bare_lf")):
            client = self.client(head + b"3\r\nabc\r\n")
            up = self.upstream.accept()
            self.assertEqual(head + b"3\r\nabc\r\n", up.exactly(len(head) + 8))
            client.send(bad)
            self.refused(client, 400, reason, bad)
            self.assertEqual("reset", up.end())

    @threaded
    def test_behind_a_good_one(self) -> None:
        """F16: the good one is answered first, and the upstream's connection is none the worse for it."""
        up = None
        for row in BAD[:12]:
            _, data, status, reason = row
            client = self.client(GET + data)
            up = up or self.upstream.accept()
            self.assertEqual(GET, up.message())
            self.assertTrue(client.silent(0.05))
            up.send(OK)
            self.assertEqual(OK, client.message())
            self.refused(client, status, reason, row)
            self.assertTrue(up.silent(0.01))

    @threaded
    def test_answer_arrives(self) -> None:
        """However much a refused client goes on sending, it can read why; no reset overtakes the answer."""
        for _ in range(10):
            client = self.client(b"POST / HTTP/1.1\r\nHost: web.local\r\nContent-Length: +1\r\n\r\n" + b"x" * 500_000)
            client.send(b"y" * 500_000)
            self.refused(client, 400, "cl_bad", "")

    @threaded
    def test_without_an_answer_read(self) -> None:
        """Nor does one that never reads or never stops keep its connection."""
        client = self.client(b"GET / HTTP/1.1\r\n\r\n")
        eventually(lambda: self.rejected == {"host": 1})
        eventually(lambda: len(self.connections()) == 1)
        eventually(lambda: not self.connections(), seconds=10)
        client.close()

    @threaded
    def test_trailers(self) -> None:
        """F15: trailers that would frame or route are dropped, and the others go on."""
        head = CHUNKED.replace(b"Host: a\r\n", HOST)
        client = self.client(
            head + b"3\r\nabc\r\n0\r\nContent-Length: 5\r\nX-T: 1\r\nHost: evil\r\nTransfer-Encoding: x\r\n\r\n"
        )
        up = self.upstream.accept()
        self.assertEqual(head + b"3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n", up.message())
        up.send(OK)
        self.assertEqual(OK, client.message())

    @threaded
    def test_connect(self) -> None:
        """R12: CONNECT in any other form than to host and port."""
        for target in (b"/", b"http://web.local/", b"web.local", b"web.local:", b"web.local:0", b"web.local:99999"):
            client = self.client(b"CONNECT " + target + b" HTTP/1.1\r\nHost: web.local\r\n\r\n", port="plain")
            self.refused(client, 400, "connect", target)
        self.assertTrue(self.upstream.nobody())
