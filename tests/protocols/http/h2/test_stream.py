# -*- test-case-name: tests.protocols.http.h2.test_stream -*-
"""
L{lproxy.protocols.http.h2.stream}: a stream that becomes a tunnel, and whatever order things happen in.
"""

from __future__ import annotations

import contextlib
import random
from base64 import b64encode
from functools import partial
from hashlib import sha1
from typing import Literal

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.exceptions import StreamClosedError

from lproxy.config import Timeouts
from lproxy.protocols.http.h1.handshake import GUID
from lproxy.protocols.http.h2 import faults
from lproxy.testing import Peer
from lproxy.testing.garbage import only_new, uncounted
from tests.protocols.http.h2.case import Client, Http2Case, frame
from tests.protocols.http.harness import ok


class ConnectTests(Http2Case):
    """CONNECT, on a listener whose clients say where they go."""

    target = "authority"

    def connect(self, client: Client) -> int:
        """To C{web.test:443}."""
        return client.raw([(":method", "CONNECT"), (":authority", "web.test:443")], end=False)

    def test_bytes(self) -> None:
        """Bytes both ways, each end by itself, and the connection goes on."""
        client = self.talk()
        one = self.connect(client)
        self.assertEqual((200, False), (client.answers[one].status, client.answers[one].ended))
        client.body(one, b"hello")
        self.assertEqual(b"hello", self.heard(self.up))
        self.say(self.up, b"world")
        client.hear()
        self.assertEqual(b"world", client.answers[one].body)
        client.body(one, b"!", True)
        self.assertEqual((b"!", "eof"), (self.heard(self.up), self.up.ended))
        self.say(self.up, b"bye")
        self.up.hang_up()
        self.settle()
        client.hear()
        answer = client.answers[one]
        self.assertEqual((b"worldbye", True, None), (answer.body, answer.ended, answer.reset))
        self.assertEqual(("closed", "", {}), (self.up.ended, client.peer.ended, self.server()._streams))
        self.assertEqual([(200, "")], self.rows)

    def test_said_before(self) -> None:
        """What a client says before it is connected waits."""
        self.proxy.connector.mode = "wait"
        client = self.talk()
        one = self.connect(client)
        client.body(one, b"early", True)
        self.proxy.connector.accept()
        self.settle()
        self.assertEqual((b"early", "eof"), (self.heard(self.up), self.up.ended))
        self.say(self.up, b"late")
        self.up.hang_up()
        self.settle()
        client.hear()
        self.assertEqual((200, b"late"), (client.answers[one].status, client.answers[one].body))

    def test_slow(self) -> None:
        """Either end's pace is the other's."""
        client = self.talk({4: 1000})
        client.greedy = False
        one = self.connect(client)
        self.up.say(b"x" * 1_000_000)
        self.settle()
        client.hear()
        self.assertEqual(1000, len(client.answers[one].body))
        self.assertGreater(self.up.unread, 1_000_000 - 3 * 65536)
        self.up.room = 0
        while credit := client.credit(one):
            client.body(one, b"y" * credit)
        self.assertLess(self.stream(self.up).buffered, 3 * 65536)
        client.h2.increment_flow_control_window(1 << 20)
        client.h2.increment_flow_control_window(1 << 20, one)
        client.send()
        self.up.room = None
        self.settle()
        client.hear()
        self.assertEqual(1_000_000, len(client.answers[one].body))
        self.assertGreater(client.credit(one), 0)

    def test_ends(self) -> None:
        """A reset on one side is one on the other."""
        client = self.talk()
        one = self.connect(client)
        client.reset(one)
        self.assertEqual("reset", self.up.ended)
        two = self.connect(client)
        self.up.reset()
        self.settle()
        client.hear()
        self.assertEqual((faults.CANCEL, ""), (client.answers[two].reset, client.peer.ended))
        self.connect(client)
        client.peer.reset()
        self.settle()
        self.assertEqual(("reset", [200] * 3), (self.up.ended, [row[0] for row in self.rows]))

    def test_refused(self) -> None:
        """Where there is nobody, the answer is one like others."""
        self.proxy.connector.mode = "refuse"
        client = self.talk()
        one = self.connect(client)
        answer = client.answers[one]
        self.assertEqual((502, True, faults.NO_ERROR), (answer.status, answer.ended, answer.reset))

    def test_not_idle(self) -> None:
        """A tunnel has no clocks of HTTP's."""
        self.start(timeouts=Timeouts(body=1.0, write=1.0, client_idle=1.0))
        client = self.talk()
        one = self.connect(client)
        self.wait(10)
        client.body(one, b"x")
        self.assertEqual((b"x", ""), (self.heard(self.up), client.peer.ended))

    def test_aborted(self) -> None:
        """The proxy's end is the tunnel's."""
        client = self.talk()
        self.connect(client)
        self.server().abort()
        self.settle()
        self.assertEqual(("reset", "reset"), (client.peer.ended, self.up.ended))


class WebSocketTests(Http2Case):
    """Extended CONNECT (RFC 8441), in front of an upstream that knows Upgrade."""

    def ask(self, client: Client, *fields: tuple[str, str]) -> int:
        """For a WebSocket."""
        head = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":authority", "web.test")]
        return client.raw([*head, (":path", "/chat"), ("sec-websocket-version", "13"), *fields], end=False)

    def proof(self, request: bytes) -> str:
        """What answers the key in it."""
        key = request.partition(b"sec-websocket-key: ")[2].partition(b"\r\n")[0]
        return b64encode(sha1(key + GUID).digest()).decode()

    def test_announced(self) -> None:
        """A client is told that it may."""
        self.assertEqual(1, self.talk().h2.remote_settings.enable_connect_protocol)

    def test_websocket(self) -> None:
        """It becomes a handshake of HTTP/1, whose 101 is a 200; then bytes both ways, each end by itself."""
        client = self.talk()
        one = self.ask(client, ("sec-websocket-protocol", "chat"))
        request = self.heard(self.up)
        self.assertRegex(
            request, b"^GET /chat HTTP/1.1\r\nhost: web.test\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
        )
        self.assertIn(b"\r\nsec-websocket-protocol: chat\r\n\r\n", request)
        client.body(one, b"early")
        self.assertEqual(b"", self.heard(self.up))
        fields = ("Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {self.proof(request)}")
        self.say(self.up, get_101(*fields, "Sec-WebSocket-Protocol: chat") + b"hello")
        client.hear()
        answer = client.answers[one]
        self.assertEqual({":status": "200", "sec-websocket-protocol": "chat"}, answer.headers)
        self.assertEqual((b"hello", b"early"), (answer.body, self.heard(self.up)))
        client.body(one, b"bye", True)
        self.assertEqual((b"bye", "eof"), (self.heard(self.up), self.up.ended))
        self.up.hang_up()
        self.settle()
        client.hear()
        self.assertEqual((True, None, ""), (answer.ended, answer.reset, client.peer.ended))

    def test_refused(self) -> None:
        """An upstream that does not want to says so, and is used again."""
        client = self.talk()
        one = self.ask(client)
        self.say(self.up, ok(b"no", status="403 Forbidden"))
        client.hear()
        answer = client.answers[one]
        self.assertEqual((403, b"no", True, faults.NO_ERROR), (answer.status, answer.body, answer.ended, answer.reset))
        self.assertEqual(1, self.idle)

    def test_not_understood(self) -> None:
        """Neither a 101 without the proof nor a 200 is a WebSocket."""
        for said in (get_101("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: x"), ok(b"page")):
            client = self.talk()
            one = self.ask(client)
            self.say(self.up, said)
            client.hear()
            self.assertEqual((502, "reset"), (client.answers[one].status, self.up.ended))
        self.assertEqual({"bad_response": 2}, self.errors)

    def test_sent_again(self) -> None:
        """On a connection that had died it is sent once more, as the GET that it is."""
        client = self.talk()
        client.request()
        self.say(self.up, ok())
        client.hear()
        one = self.ask(client)
        self.ups[0].reset()
        self.settle()
        self.assertEqual(2, len(self.ups))
        accept = f"Sec-WebSocket-Accept: {self.proof(self.heard(self.up))}"
        self.say(self.up, get_101("Upgrade: websocket", "Connection: Upgrade", accept))
        client.hear()
        self.assertEqual(200, client.answers[one].status)


def get_101(*fields: str) -> bytes:
    """An agreement."""
    return "\r\n".join(["HTTP/1.1 101 Switching Protocols", *fields, "", ""]).encode()


class FuzzTests(Http2Case):
    """Whatever is reset when: nothing leaks, and no credit is lost."""

    engine: Literal["lane", "reference"] = "lane"

    def test_nothing_leaks(self) -> None:
        """After a thousand random steps all windows are what they were, and nobody holds anything."""
        for seed in range(12):
            with self.subTest(seed=seed):
                self.run_steps(random.Random(seed))

    def run_steps(self, rnd: random.Random) -> None:
        """Some of the steps that two ends can take."""
        self.start()
        client = self.talk({4: rnd.choice((10, 1000, 65535, 1 << 20))})
        live: list[int] = []
        uploading: set[int] = set()
        for _ in range(300):
            step = rnd.randrange(9)
            one = rnd.choice(live) if live else 0
            if step <= 1 and len(live) < 50:
                upload = rnd.random() < 0.6
                length = [("content-length", "200000")] if rnd.random() < 0.5 else []
                new = client.request(*(length if upload else []), method="POST" if upload else "GET", end=not upload)
                live.append(new)
                if upload:
                    uploading.add(new)
            elif step == 2 and one in uploading and (credit := min(client.credit(one), 16_384)):
                if client.answers[one].reset is None:
                    client.body(one, b"x" * rnd.randrange(1, credit + 1))
            elif step == 3 and one and client.answers[one].reset is None and not client.answers[one].ended:
                client.reset(one)
            elif step == 4 and self.open:
                self.say(rnd.choice(self.open), ok(b"y" * rnd.randrange(1, 100), length=rnd.choice((99, 100_000))))
            elif step == 5 and self.open:
                rnd.choice(self.open).reset()
                self.settle()
            elif step == 6 and self.open:
                up: Peer = rnd.choice(self.open)
                up.room = rnd.choice((None, 0, 1000))
                self.settle()
            elif step == 7:
                client.peer.room = rnd.choice((None, None, 0, 5000))
                self.settle()
            elif step == 8 and self.open:
                self.say(rnd.choice(self.open), b"z" * rnd.randrange(1, 200_000))
            if client.peer.room is None:
                client.hear()
            live = [n for n in live if client.answers[n].reset is None and not client.answers[n].ended]
            uploading &= set(live)
        client.peer.room = None
        client.hear()
        for one, stream in list(client.h2.streams.items()):
            if not stream.closed:
                client.reset(one)
        for up in self.open:
            up.room = None
            up.reset()
        self.wait(0.1)
        client.hear()
        server = self.server()
        self.assertEqual(({}, {}, 0), (server._streams, server.link.waiting, self.proxy.open))
        # all of the connection's credit came back to the client, but for what is not worth an update yet
        self.assertGreaterEqual(client.h2.outbound_flow_control_window, 1024 * 1024 // 2)
        self.assertEqual(("", []), (client.peer.ended, client.goaways))
        again = client.request(("content-length", "60000"), method="POST", end=False)
        client.body(again, b"x" * 60_000, True)
        self.assertEqual(60_000, len(self.heard(self.up).partition(b"\r\n\r\n")[2]))
        self.say(self.up, ok(b"fine"))
        client.hear()
        self.assertEqual(200, client.answers[again].status)


class ReferenceFuzzTests(FuzzTests):
    """The same of the other engine."""

    engine: Literal["lane", "reference"] = "reference"


class MutationTests(Http2Case):
    """Connections whose bytes are not what somebody meant, in front of upstreams that do what they like."""

    #: what an upstream may say
    answers = (
        ok(),
        ok(b"a", length=9),
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nabc",
        b"\xff\xfe\r\n\r\n",
    )

    def conversation(self, rnd: random.Random) -> bytearray:
        """What a client says, all of it well-formed."""
        client = H2Connection(H2Configuration(client_side=True, validate_outbound_headers=False))
        client.initiate_connection()
        for _ in range(rnd.randrange(1, 6)):
            one, method = client.get_next_available_stream_id(), rnd.choice(("GET", "POST", "CONNECT"))
            head = [(":method", method), (":authority", "web.test:80")]
            if method != "CONNECT" or rnd.random() < 0.5:
                head += [(":scheme", "http"), (":path", "/")]
                if method == "CONNECT":
                    head.append((":protocol", "websocket"))
            head += [field for field in (("content-length", "3"), ("expect", "100-continue")) if rnd.random() < 0.2]
            end = rnd.random() < 0.5
            client.send_headers(one, head, end_stream=end)
            if not end:
                client.send_data(one, b"x" * rnd.randrange(4), end_stream=rnd.random() < 0.5)
            if rnd.random() < 0.3:
                with contextlib.suppress(StreamClosedError):
                    client.reset_stream(one, rnd.randrange(14))
        return bytearray(client.data_to_send())

    def test_nothing_crashes(self) -> None:
        """Whatever comes is answered, refused or ended; nothing raises, and nothing is left over."""
        for seed in range(200):
            rnd = random.Random(seed)
            said = self.conversation(rnd)
            for _ in range(rnd.choice((0, 1, 1, 2, 5))):
                at = rnd.randrange(24, len(said))
                said[at : at + rnd.randrange(2)] = rnd.randbytes(rnd.randrange(2))
            peer = self.client()
            while said and not peer.ended:
                size = rnd.choice((1, 9, 40, 1000))
                self.say(peer, bytes(said[:size]))
                del said[:size]
                for up in self.open:
                    rnd.choice((up.reset, up.hang_up, partial(up.say, rnd.choice(self.answers)), str))()
                self.settle()
            rnd.choice((peer.hang_up, peer.reset))()
            self.wait(0.1)
            peer.reset()
            for up in self.open:
                up.reset()
            self.settle()
            self.assertEqual(([], [], 0), (self.proxy.crashes, self.proxy.sessions, self.proxy.open), seed)


class GarbageTests(Http2Case):
    """What an answered stream leaves behind."""

    CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"

    def test_nothing(self) -> None:
        """However its answer comes, it is freed by counting references: the collector is not needed."""
        client = self.talk()
        pieces = (
            (ok(),),
            (ok(b"ok", length=4), b"ay"),
            (self.CHUNKED + b"0\r\nx-t: 1\r\n\r\n",),
            (self.CHUNKED, b"0\r\nx-t: 1\r\n\r\n"),
        )

        def answer(said: tuple[bytes, ...]) -> None:
            one = client.request()
            for piece in said:
                self.say(self.up, piece)
                client.hear()
            self.assertTrue(client.answers.pop(one).ended)

        with only_new():
            for said in pieces:
                answer(said)
                with uncounted() as left:
                    answer(said)
                self.assertEqual([], left, said)


class LateTests(Http2Case):
    """What comes late."""

    def test_data_for_an_answered_stream(self) -> None:
        """The rest of a body whose request was answered is dropped, and the connection's credit is not lost."""
        client = self.talk()
        one = client.request(method="POST", end=False)
        self.say(self.up, ok(b"no", status="403 Forbidden"))
        for _ in range(30):
            client.frames(frame(0, 0, one, b"x" * 16_384))
        two = client.request(("content-length", "3"), method="POST", end=False)
        client.body(two, b"abc", True)
        self.say(self.up, ok(b"yes"))
        client.hear()
        self.assertEqual((403, 200), (client.answers[one].status, client.answers[two].status))
