# -*- test-case-name: tests.integration.test_h2_crossings -*-
"""
Every crossing of versions: what HTTP means comes through as it is, whatever clients and applications speak.
"""

from __future__ import annotations

from threading import Event

from tests.integration.crossing_case import Answer, Asked, CrossingCase, Http2Client
from tests.integration.http_case import eventually, threaded

#: of one connection, and never the application's business
OF_CONNECTION = {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "x-gone", "trailer"}
BIG = 3_000_000


class Crossing(CrossingCase):
    """What is the same in each."""

    def last(self, *answers: Answer) -> list[Asked]:
        """Have the application give C{answers}, the last one for ever; what it was asked."""
        asked: list[Asked] = []

        def app(request: Asked) -> Answer:
            asked.append(request)
            return answers[min(len(asked), len(answers)) - 1]

        self.serve(app)
        return asked

    @threaded
    def test_messages(self) -> None:
        """Method, path, host, fields and bodies, both ways; more than once on a connection."""
        asked = self.last(Answer(201, [("x-a", "1"), ("x-a", "2"), ("content-type", "text/x")], b"hello"))
        speaker = self.speaker()
        for n in range(3):
            request = Asked("POST", f"/a%20b?c={n}", [("X-B", "1"), ("x-b", "2"), ("Cookie", "a=1; b=2")], b"body")
            answer = speaker.ask(request)
            self.assertEqual((201, b"hello"), (answer.status, answer.body))
            self.assertEqual(["1", "2"], [value for name, value in answer.fields if name == "x-a"])
            self.assertEqual(("POST", f"/a%20b?c={n}", b"body"), (asked[n].method, asked[n].path, asked[n].body))
            self.assertEqual(["1", "2"], [value for name, value in asked[n].fields if name == "x-b"])
            self.assertEqual("web.local", asked[n].get("host"))
            self.assertEqual("a=1; b=2", "; ".join(value for name, value in asked[n].fields if name == "cookie"))
            self.assertFalse(OF_CONNECTION & {name for name, _ in asked[n].fields if name != "transfer-encoding"})

    @threaded
    def test_trailers(self) -> None:
        """Trailers of requests and of answers; those that must not be trailers are left out."""
        asked = self.last(Answer(200, [], b"hello", [("x-sum", "1"), ("content-length", "9")]))
        answer = self.ask(
            "POST", "/", ("TE", "trailers"), body=b"body and more", trailers=[("X-T", "u"), ("Host", "x")]
        )
        self.assertEqual((b"hello", [("x-sum", "1")]), (answer.body, answer.trailers))
        self.assertEqual((b"body and more", [("x-t", "u")]), (asked[0].body, asked[0].trailers))
        self.assertEqual("trailers", asked[0].get("te"))

    @threaded
    def test_without_body(self) -> None:
        """HEAD with the length that GET would have; 204; 304; OPTIONS of everything; an empty body."""
        self.last(
            Answer(200, [("content-length", "5")], b"hello"),
            Answer(204),
            Answer(304, [("etag", '"x"')]),
            Answer(200, [("allow", "GET")]),
            Answer(200, [("content-length", "0")]),
        )
        answer = self.ask("HEAD", "/")
        self.assertEqual((200, "5", b""), (answer.status, answer.get("content-length"), answer.body))
        self.assertEqual((204, None), ((answer := self.ask("GET", "/")).status, answer.get("content-length")))
        self.assertEqual((304, '"x"'), ((answer := self.ask("GET", "/")).status, answer.get("etag")))
        self.assertEqual((200, "GET"), ((answer := self.ask("OPTIONS", "*")).status, answer.get("allow")))
        self.assertEqual((200, b""), ((answer := self.ask("GET", "/")).status, answer.body))

    @threaded
    def test_interim(self) -> None:
        """1xx answers come before the real one."""
        self.last(Answer(200, [], b"ok", interim=[(103, [("link", "</a>")]), (102, [])]))
        answer = self.ask("GET", "/")
        self.assertEqual(([103, 102], b"ok"), ([status for status, _ in answer.interim], answer.body))
        self.assertIn(("link", "</a>"), answer.interim[0][1])

    @threaded
    def test_websocket(self) -> None:
        """A WebSocket: the handshake of either version, bytes both ways, and the end."""
        self.last(Answer())
        said = b"early " * 2_000
        self.assertEqual(said.upper(), self.speaker().chat(said))
        eventually(lambda: self.in_flight == 0)

    @threaded
    def test_large(self) -> None:
        """Megabytes, both ways at once; and 30 KB of fields."""
        asked = self.last(Answer(200, [("x-large", "v" * 14_000)], b"a" * BIG))
        answer = self.ask("POST", "/", ("X-Large", "w" * 15_000), body=b"b" * BIG)
        self.assertEqual((BIG, BIG), (answer.body.count(b"a"), asked[0].body.count(b"b")))
        self.assertEqual((14_000, 15_000), (len(answer.get("x-large") or ""), len(asked[0].get("x-large") or "")))

    @threaded
    def test_refused(self) -> None:
        """What is not connected to is an answer of ours, whatever the client speaks."""
        self.upstream.close()
        answer = self.ask("GET", "/")
        self.assertEqual(502, answer.status)
        self.assertIn(b"connect: 127.0.0.1", answer.body)
        self.assertIn("refused", answer.get("l5d-proxy-error") or "")

    @threaded
    def test_client_leaves(self) -> None:
        """A client that is gone, or gives a stream up, is no request in flight any more."""
        release = Event()
        self.addCleanup(release.set)
        self.serve(lambda asked: Answer() if release.wait(30) else Answer(500))
        speaker = self.speaker()
        if isinstance(speaker, Http2Client):
            stream = speaker.begin(Asked("GET", "/", []))
            eventually(lambda: self.in_flight == 1)
            speaker.talk.h2.reset_stream(stream, 8)
            speaker.talk.flush()
        else:
            self.client(b"GET / HTTP/1.1\r\nHost: web.local\r\n\r\n").reset()
        eventually(lambda: self.in_flight == 0)

    @threaded
    def test_unread(self) -> None:
        """Large answers that nobody reads hold up nobody, on connections and streams beside them."""
        self.serve(lambda asked: Answer(200, [], b"x" * (10_000_000 if asked.path == "/big" else 2)))
        clients = [self.client(kernel_buffer=4096) for _ in range(10)]
        for wire in clients:
            if self.front == 1:
                wire.send(b"GET /big HTTP/1.1\r\nHost: web.local\r\n\r\n")
            else:
                speaker = Http2Client(wire)
                for _ in range(3):
                    speaker.begin(Asked("GET", "/big", []))
        for _ in range(5):
            self.assertEqual(b"xx", self.ask("GET", "/small").body)


class Http1ToHttp1(Crossing):
    """From HTTP/1.1 to HTTP/1.1."""

    front, back = 1, 1


class Http1ToHttp2(Crossing):
    """From HTTP/1.1 to HTTP/2."""

    front, back = 1, 2


class Http2ToHttp1(Crossing):
    """From HTTP/2 to HTTP/1.1."""

    front, back = 2, 1


class Http2ToHttp2(Crossing):
    """From HTTP/2 to HTTP/2."""

    front, back = 2, 2


del Crossing
