# -*- test-case-name: tests.protocols.http.h2.test_server -*-
"""
L{lproxy.protocols.http.h2.server}: one client's connection, and the requests on it.
"""

from __future__ import annotations

from typing import Any, Literal
from unittest.mock import Mock, patch

from lproxy.config import Limits, Timeouts
from lproxy.protocols.http.h2 import faults
from lproxy.protocols.http.h2.server import ROUND_TRIP
from lproxy.protocols.http.h2.stream import LINGER
from lproxy.protocols.http.patience import TURN
from lproxy.stack.timeout import AcquireTimedOut
from lproxy.target import Authority
from tests.protocols.http.h2.case import HELLO, Client, Http2Case, frame
from tests.protocols.http.harness import OK, ok

#: what the smallest request is sent on as
SENT = b"GET / HTTP/1.1\r\nhost: web.test\r\n\r\n"


class RequestTests(Http2Case):
    """Streams are exchanges."""

    def test_one(self) -> None:
        """A request goes on as HTTP/1, its answer comes back as HTTP/2, and the connection stays."""
        client = self.talk()
        one = client.request(("x-a", "1"), path="/a?b")
        self.assertEqual(b"GET /a?b HTTP/1.1\r\nhost: web.test\r\nx-a: 1\r\n\r\n", self.heard(self.up))
        self.say(self.up, ok(b"body", "X-B: 2 ", "Keep-Alive: 5"))
        client.hear()
        answer = client.answers[one]
        self.assertEqual({":status": "200", "content-length": "4", "x-b": "2"}, answer.headers)
        self.assertEqual((b"body", True, None), (answer.body, answer.ended, answer.reset))
        self.assertEqual(("", 1), (client.peer.ended, self.idle))
        two = client.request()
        self.assertEqual(SENT, self.heard(self.up))
        self.say(self.up, OK)
        client.hear()
        self.assertEqual((200, 1), (client.answers[two].status, len(self.ups)))
        self.assertEqual([(200, "")] * 2, self.rows)

    def test_many(self) -> None:
        """Many at a time, each on an upstream connection of its own, answered in whatever order."""
        client = self.talk()
        ids = [client.begin(path=f"/{n}") for n in range(10)]
        client.send()
        self.assertEqual([f"GET /{n} ".encode() for n in range(10)], [up.heard[:7] for up in self.ups])
        for up in reversed(self.ups):
            self.say(up, ok(up.heard[5:6]))
        client.hear()
        self.assertEqual([b"%d" % n for n in range(10)], [client.answers[one].body for one in ids])
        self.assertEqual((10, 10), (len(self.proxy.leases), self.idle))

    def test_one_write(self) -> None:
        """What one read of an upstream brings is one write, head, body and end."""
        client = self.talk()
        client.request()
        stream: Any = self.stream(client.peer)
        with patch.object(stream, "write", wraps=stream.write) as write:
            self.say(self.up, OK)
        self.assertEqual(1, write.call_count)

    def test_one_write_upstream(self) -> None:
        """What one read of the client brings of a request is one write upstream, head, body and end."""
        client = self.talk()
        client.request()
        self.say(self.up, OK)
        self.heard(self.up)
        stream: Any = self.stream(self.up)
        one = client.begin(method="POST", end=False)
        client.h2.send_data(one, b"ab")
        client.h2.send_data(one, b"cd", end_stream=True)
        with patch.object(stream, "write", wraps=stream.write) as write:
            client.send()
        self.assertEqual(1, write.call_count)
        self.assertTrue(self.heard(self.up).endswith(b"\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"))

    def test_taken_back_at_once(self) -> None:
        """A request that is taken back in the same read is nobody's concern."""
        client = self.talk()
        client.h2.reset_stream(client.begin(), 8)
        client.send()
        self.assertEqual(([], [(0, "DC")]), (self.ups, self.rows))

    def test_body(self) -> None:
        """A body of known length goes on as such, one of unknown length in chunks, with its trailers."""
        client = self.talk()
        one = client.request(("content-length", "3"), method="POST", end=False)
        client.body(one, b"ab")
        client.body(one, b"c", True)
        self.assertEqual(b"POST / HTTP/1.1\r\nhost: web.test\r\ncontent-length: 3\r\n\r\nabc", self.heard(self.up))
        self.say(self.up, OK)
        two = client.request(method="POST", end=False)
        client.body(two, b"ab")
        client.h2.send_headers(two, [("x-t", "1"), ("content-length", "9")], end_stream=True)
        client.send()
        self.assertEqual(
            b"POST / HTTP/1.1\r\nhost: web.test\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nx-t: 1\r\n\r\n",
            self.heard(self.up),
        )
        self.say(self.up, OK)
        client.hear()
        self.assertEqual((200, True), (client.answers[two].status, client.answers[two].ended))

    def test_trailers(self) -> None:
        """An answer's trailers are passed on, behind a body or without one."""
        client = self.talk()
        for body in (b"", b"3\r\nabc\r\n"):
            one = client.request()
            self.say(self.up, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            self.say(self.up, body + b"0\r\nX-T: 1\r\n\r\n")
            client.hear()
            answer = client.answers[one]
            self.assertEqual(({":status": "200"}, {"x-t": "1"}, True), (answer.headers, answer.trailers, answer.ended))

    def test_no_body(self) -> None:
        """HEAD, 204 and 304 end with their head, whatever length they tell."""
        client = self.talk()
        for method, answer, length in (
            ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "9"),
            ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", None),
            ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "5"),
        ):
            one = client.request(method=method)
            self.say(self.up, answer)
            client.hear()
            self.assertEqual(length, client.answers[one].headers.get("content-length"))
            self.assertEqual((b"", True), (client.answers[one].body, client.answers[one].ended))
        self.assertEqual(1, len(self.ups))

    def test_informational(self) -> None:
        """1xx go on, before the answer; 100-continue is the upstream's to say."""
        client = self.talk()
        one = client.request(("expect", "100-continue"), ("content-length", "2"), method="POST", end=False)
        self.say(self.up, b"HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n" + b"HTTP/1.1 100 Continue\r\n\r\n")
        client.hear()
        self.assertEqual([{":status": "103", "link": "</a>"}, {":status": "100"}], client.answers[one].informational)
        client.body(one, b"ab", True)
        self.say(self.up, OK)
        client.hear()
        self.assertEqual(200, client.answers[one].status)

    def test_cookies(self) -> None:
        """The pieces of a cookie are one field in HTTP/1."""
        client = self.talk()
        client.request(("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"))
        self.assertIn(b"cookie: a=1; b=2\r\n", self.heard(self.up))

    def test_not_passed_on(self) -> None:
        """What nobody may say of himself is removed, and credentials for a proxy are for us."""
        client = self.talk()
        client.request(("l5d-client-id", "admin"), ("proxy-authorization", "Basic x"), ("te", "trailers"))
        self.assertEqual(b"GET / HTTP/1.1\r\nhost: web.test\r\nte: trailers\r\n\r\n", self.heard(self.up))

    def test_forwarded(self) -> None:
        """What is added on the way is spelt as the rest."""
        self.listen |= {"forwarded": "append"}
        self.start()
        client = self.talk()
        client.request(("x-forwarded-for", "10.9.9.9"))
        head = self.heard(self.up)
        self.assertIn(b"\r\nx-forwarded-for: 10.9.9.9, 10.0.0.1\r\nx-forwarded-proto: http\r\n", head)
        self.assertIn(b"\r\nx-forwarded-host: web.test\r\n\r\n", head)

    def test_max_forwards(self) -> None:
        """Max-Forwards is counted down, and answered at the last hop."""
        client = self.talk()
        client.request(("max-forwards", "3"), method="OPTIONS")
        self.assertIn(b"max-forwards: 2\r\n", self.heard(self.up))
        one = client.request(("max-forwards", "0"), method="OPTIONS")
        self.assertEqual(200, client.answers[one].status)
        self.assertIn("GET", client.answers[one].headers["allow"])

    def test_options_all(self) -> None:
        """C{OPTIONS *} is what it is in HTTP/1."""
        self.talk().request(method="OPTIONS", path="*")
        self.assertEqual(b"OPTIONS * HTTP/1.1\r\nhost: web.test\r\n\r\n", self.heard(self.up))

    def test_byte_by_byte(self) -> None:
        """However the bytes come."""
        peer = self.client()
        quiet = Client(self, peer)
        quiet.begin(path="/x")
        for byte in quiet.h2.data_to_send():
            self.say(peer, bytes((byte,)))
        self.assertEqual(b"GET /x HTTP/1.1\r\nhost: web.test\r\n\r\n", self.heard(self.up))

    def test_preface_byte_by_byte(self) -> None:
        """The preface as well, which is no HTTP/1 at any length."""
        peer = self.client()
        for byte in HELLO:
            self.say(peer, bytes((byte,)))
        self.server()
        self.assertEqual("", peer.ended)

    def test_failure(self) -> None:
        """An upstream that cannot be reached is told as it is in HTTP/1, and costs the stream alone."""
        self.proxy.connector.mode = "refuse"
        client = self.talk()
        one = client.request()
        answer = client.answers[one]
        self.assertEqual((502, True), (answer.status, answer.ended))
        self.assertIn(b"refused", answer.body)
        self.assertIn("refused", answer.headers["l5d-proxy-error"])
        self.assertEqual((b"", True), (client.answers[client.request(method="HEAD")].body, True))
        self.assertEqual(("", [(502, "UF")] * 2), (client.peer.ended, self.rows))

    def test_cut_answer(self) -> None:
        """Half an answer never ends as if it were whole; other streams go on."""
        client = self.talk()
        one, two = client.begin(), client.begin(path="/2")
        client.send()
        self.say(self.ups[0], ok(b"abc", length=10))
        self.ups[0].reset()
        self.settle()
        client.hear()
        answer = client.answers[one]
        self.assertEqual(
            (200, b"abc", False, faults.INTERNAL_ERROR), (answer.status, answer.body, answer.ended, answer.reset)
        )
        self.say(self.ups[1], OK)
        client.hear()
        self.assertTrue(client.answers[two].ended)

    def test_reset_by_the_client(self) -> None:
        """A request that is taken back is taken back from the upstream at once, in whatever state."""
        for said in (b"", b"HTTP/1.1 100 Continue\r\n\r\n", ok(b"a", length=2)):
            client = self.talk()
            one = client.request()
            self.say(self.up, said)
            client.hear()
            client.reset(one)
            self.assertEqual(("reset", 0, ""), (self.up.ended, self.proxy.open, client.peer.ended))
            self.assertEqual("DC", self.rows[-1][1])
        self.assertEqual({("peer", "CANCEL"): 3}, self.factory.metrics.http2.resets)

    def test_reset_while_acquiring(self) -> None:
        """Also where it is still on its way to one."""
        self.proxy.connector.mode = "wait"
        client = self.talk()
        client.reset(client.request())
        self.assertEqual([(0, "DC")], self.rows)
        self.assertEqual(0, self.proxy.acquires["http"].service.load)  # type: ignore[attr-defined]

    def test_client_gone(self) -> None:
        """With the connection all its streams are gone."""
        client = self.talk()
        for n in range(5):
            client.begin(path=f"/{n}")
        client.send()
        client.peer.reset()
        self.settle()
        self.assertEqual((["reset"] * 5, [(0, "DC")] * 5), ([up.ended for up in self.ups], self.rows))

    def test_early_answer(self) -> None:
        """A final answer before the end of the request: what comes is dropped; a moment later it is not wanted."""
        client = self.talk()
        one = client.request(("content-length", "100"), method="POST", end=False)
        client.body(one, b"x" * 10)
        self.say(self.up, ok(b"no", status="413 Too Large"))
        client.hear()
        answer = client.answers[one]
        self.assertEqual((413, b"no", True, None), (answer.status, answer.body, answer.ended, answer.reset))
        self.assertEqual(("reset", "", 0), (self.up.ended, client.peer.ended, self.proxy.open))
        client.body(one, b"x" * 10)
        self.assertIsNone(answer.reset)
        self.wait(2 * LINGER)
        client.hear()
        self.assertEqual((faults.NO_ERROR, ""), (answer.reset, client.peer.ended))
        # whoever comes to the end of it is not told
        one = client.request(("content-length", "20"), method="POST", end=False)
        self.say(self.up, ok(b"no", status="413 Too Large"))
        client.body(one, b"x" * 20, True)
        self.wait(2 * LINGER)
        client.hear()
        self.assertEqual((413, None), (client.answers[one].status, client.answers[one].reset))
        self.assertEqual({}, self.session()._streams)

    def test_early_success(self) -> None:
        """Of a body that was accepted the rest goes on, and then the stream is over."""
        client = self.talk()
        one = client.request(("content-length", "4"), method="POST", end=False)
        client.body(one, b"ab")
        self.say(self.up, OK)
        client.hear()
        self.assertEqual((True, None), (client.answers[one].ended, client.answers[one].reset))
        self.heard(self.up)
        client.body(one, b"cd", True)
        self.assertEqual((b"cd", 0, None), (self.heard(self.up), self.proxy.open, client.answers[one].reset))

    def test_upgrade_is_none(self) -> None:
        """There is no Upgrade in HTTP/2; an upstream's 426 tells nobody to."""
        client = self.talk()
        one = client.request()
        self.say(
            self.up, b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: x\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n"
        )
        client.hear()
        self.assertEqual({":status": "426", "content-length": "0"}, client.answers[one].headers)


class RefusalTests(Http2Case):
    """What is no request resets its stream, and nothing else."""

    def refused(self, client: Client, stream_id: int, reason: str) -> None:
        """C{stream_id} is, and nobody else has noticed."""
        self.assertEqual(faults.PROTOCOL_ERROR, client.answers[stream_id].reset, reason)
        self.assertEqual(({reason: 1}, "", []), (self.rejected, client.peer.ended, self.ups), reason)
        self.assertEqual((0, "IH"), self.rows[-1])
        self.rejected.clear()
        one = client.request()
        self.assertEqual(SENT, self.heard(self.up))
        self.say(self.up, OK)
        client.hear()
        self.assertEqual(200, client.answers[one].status)
        self.up.hang_up()
        self.settle()
        self.ups.clear()

    def test_malformed(self) -> None:
        """Each is counted and logged, the upstream gets nothing of it, and the connection lives."""
        head = [(":method", "GET"), (":scheme", "http"), (":authority", "web.test"), (":path", "/")]
        field, pseudo = "h2_field", "h2_pseudo"
        client = self.talk()
        for bad, reason in (
            ([*head, ("x", "a\rb")], field),
            ([*head, ("x", "a\nb")], field),
            ([*head, ("x", "a\0b")], field),
            ([*head, ("x y", "a")], field),
            ([*head, ("x:", "a")], field),
            ([*head, ("", "a")], field),
            ([*head, ("X", "a")], field),
            ([*head, ("connection", "close")], field),
            ([*head, ("keep-alive", "5")], field),
            ([*head, ("proxy-connection", "close")], field),
            ([*head, ("transfer-encoding", "chunked")], field),
            ([*head, ("upgrade", "websocket")], field),
            ([*head, ("te", "gzip")], field),
            ([*head[:3], (":path", "/a b")], pseudo),
            ([*head[:3], (":path", "/ HTTP/1.1\r\nx: y")], pseudo),
            ([*head[:3], (":path", "")], pseudo),
            ([*head[:3], (":path", "a")], pseudo),
            ([*head[:3], (":path", "*")], pseudo),
            ([(":method", "GET /x"), *head[1:]], pseudo),
            ([(":method", ""), *head[1:]], pseudo),
            ([(":method", "GET"), (":scheme", "javascript"), *head[2:]], pseudo),
            ([*head[:2], (":authority", "a@web.test"), (":path", "/")], pseudo),
            ([*head[:2], (":authority", "web.test/x"), (":path", "/")], pseudo),
            ([*head[:2], (":authority", "web.test\r\nx: y"), (":path", "/")], pseudo),
            (head[1:], pseudo),
            (head[:3], pseudo),
            ([head[0], *head[2:]], pseudo),
            ([*head, (":path", "/")], pseudo),
            ([("x", "y"), *head], pseudo),
            ([*head, (":x", "y")], pseudo),
            ([*head, (":status", "200")], pseudo),
            ([*head, ("host", "a"), ("host", "a")], pseudo),
            ([*head, ("host", "other.test")], pseudo),
            ([*head, (":protocol", "websocket")], pseudo),
            ([(":method", "CONNECT"), (":authority", "web.test")], pseudo),
            ([(":method", "CONNECT"), *head[1:]], pseudo),
        ):
            with self.subTest(bad=bad):
                self.refused(client, client.raw(bad), reason)

    def test_length(self) -> None:
        """DATA that are not as many as was said: too many, too few, none, or a length that is none."""
        for length, body in (("3", b"abcd"), ("3", b"ab"), ("3", b"")):
            client = self.talk()
            one = client.request(("content-length", length), method="POST", end=not body)
            if body:
                client.body(one, body, True)
            self.assertEqual((faults.PROTOCOL_ERROR, ""), (client.answers[one].reset, client.peer.ended))
            self.assertEqual(1, self.rejected.pop("h2_length"))
            self.assertEqual({"reset"} if body else set(), {up.ended for up in self.ups})
            self.ups.clear()
        self.assertEqual([(0, "IH")] * 3, self.rows)

    def test_large(self) -> None:
        """Too many or too large fields are answered: 431; a path that is too long: 414."""
        client = self.talk()
        for fields, path, status in (
            ([(f"x-{n}", "y") for n in range(101)], "/", 431),
            ([(f"x-{n}", "y" * 1000) for n in range(40)], "/", 431),
            ([], "/" + "x" * 8192, 414),
        ):
            for end in (True, False):
                one = client.request(*fields, path=path, end=end)
                answer = client.answers[one]
                self.assertEqual((status, True), (answer.status, answer.ended))
                self.assertEqual(None if end else faults.NO_ERROR, answer.reset)
                self.assertEqual((1, (status, "IH")), (self.rejected.pop("too_large"), self.rows[-1]))
        self.assertEqual(([], ""), (self.ups, client.peer.ended))
        self.assertEqual({}, self.server()._streams)

    def test_too_many_streams(self) -> None:
        """One too many is refused, to be sent again: nobody has seen anything of it."""
        self.start(limits=Limits(h2_streams=2))
        client = self.talk()
        ids = [client.begin() for _ in range(2)]
        client.send()
        client.h2.remote_settings[3] = 1000
        client.h2.remote_settings.acknowledge()
        late = client.request()
        self.assertEqual(faults.REFUSED_STREAM, client.answers[late].reset)
        for up in self.ups:
            self.say(up, OK)
        client.hear()
        self.assertEqual(([200, 200], {}), ([client.answers[one].status for one in ids], self.rejected))

    def test_connection(self) -> None:
        """What breaks the connection ends it with GOAWAY and all its streams, which are taken back."""
        client = self.talk()
        one = client.request()
        client.frames(frame(0, 0, 0, b"x"))
        self.assertEqual([(faults.PROTOCOL_ERROR, one)], client.goaways)
        self.assertEqual(("eof", "reset", {"h2_frame": 1}), (client.peer.ended, self.up.ended, self.rejected))
        client.peer.hang_up()
        self.settle()
        self.assertEqual("closed", client.peer.ended)

    def test_bad_preface(self) -> None:
        """A client that is known to speak HTTP/2, and does not."""
        peer = self.client()
        self.say(peer, b"INVALID CONNECTION PREFACE\r\n\r\n")
        self.assertEqual(("eof", {"h2_frame": 1}), (peer.ended, self.rejected))
        self.wait(6.0)
        self.assertEqual("closed", peer.ended)

    def test_raises(self) -> None:
        """A mistake of ours in an exchange is its stream's; the client is told no more than that."""
        self.crashed = 1
        client = self.talk()
        service = Mock(try_acquire=Mock(side_effect=ZeroDivisionError("secret")))
        with patch.object(self.proxy.acquires["http"], "service", service):
            one = client.request()
        client.hear()
        self.assertEqual((500, ""), (client.answers[one].status, client.peer.ended))
        self.assertNotIn(b"secret", client.answers[one].body)


class FlowTests(Http2Case):
    """Credit, both ways."""

    def test_slow_client(self) -> None:
        """A stream that its client does not read pauses its upstream, and nobody else's."""
        client = self.talk()
        client.greedy = False
        slow = client.request(path="/slow")
        self.say(self.up, ok(b"", length=10_000_000))
        self.up.say(b"x" * 1_000_000)
        self.settle()
        client.hear()
        self.assertEqual(65535, len(client.answers[slow].body))
        self.assertGreater(self.up.unread, 1_000_000 - 3 * 65536)
        other = client.request(path="/other")
        client.h2.increment_flow_control_window(1 << 20)
        client.send()
        self.say(self.ups[1], ok(b"y" * 50_000))
        client.hear()
        self.assertEqual((50_000, True), (len(client.answers[other].body), client.answers[other].ended))
        client.h2.increment_flow_control_window(1 << 20, slow)
        client.send()
        self.wait(0.1)
        client.hear()
        self.assertEqual((1_000_000, 0), (len(client.answers[slow].body), self.up.unread))

    def test_slow_upstream(self) -> None:
        """
        What an upstream does not take is not given back to the client, so that no more is kept than the stream's
        window; once it does, all of it comes.
        """
        client = self.talk()
        one = client.request(("content-length", "300000"), method="POST", end=False)
        self.up.room = 0
        sent = 0
        while credit := min(client.credit(one), 300_000 - sent):
            client.body(one, b"x" * credit)
            sent += credit
        self.assertLessEqual(sent, 65536)
        self.up.room = None
        self.settle()
        while sent < 300_000:
            credit = min(client.credit(one), 300_000 - sent)
            self.assertGreater(credit, 0)
            client.body(one, b"x" * credit, sent + credit == 300_000)
            sent += credit
        self.assertEqual(300_000, len(self.heard(self.up).partition(b"\r\n\r\n")[2]))
        self.say(self.up, OK)
        client.hear()
        self.assertTrue(client.answers[one].ended)

    def test_unread_starve_nobody(self) -> None:
        """Twenty uploads that no upstream takes leave the connection's credit to the next one."""
        client = self.talk()
        for n in range(20):
            one = client.request(("content-length", "1000000"), path=f"/{n}", method="POST", end=False)
            self.up.room = 0
            while credit := client.credit(one):
                client.body(one, b"x" * credit)
        one = client.request(("content-length", "60000"), method="POST", end=False)
        client.body(one, b"y" * 60_000, True)
        self.assertEqual(60_000, len(self.heard(self.up).partition(b"\r\n\r\n")[2]))

    def test_while_acquiring(self) -> None:
        """A body that comes before there is anybody to take it waits, no more than its window."""
        self.proxy.connector.mode = "wait"
        client = self.talk()
        one = client.request(("content-length", "100000"), method="POST", end=False)
        client.body(one, b"x" * 65535)
        self.assertEqual(1, client.credit(one))
        self.proxy.connector.accept()
        self.settle()
        client.hear()
        client.body(one, b"x" * (100_000 - 65535), True)
        self.assertEqual(100_000, len(self.heard(self.up).partition(b"\r\n\r\n")[2]))

    def test_kernel_full(self) -> None:
        """A client whose kernel takes nothing: no more is made for it than a piece each, and all comes in the end."""
        client = self.talk({4: 1 << 24})
        client.h2.increment_flow_control_window(1 << 26)
        ids = [client.begin(path=f"/{n}") for n in range(20)]
        client.send()
        client.peer.room = 0
        for up in self.ups:
            up.say(ok(b"z" * 500_000))
        self.settle()
        left = [up.unread for up in self.ups]
        self.assertGreater(sum(left), 20 * 500_000 - 22 * 65536 - 65536)
        self.assertLess(self.stream(client.peer).buffered, 3 * 65536)
        client.peer.room = None
        self.wait(0.5)
        client.hear()
        self.assertEqual([500_000] * 20, [len(client.answers[one].body) for one in ids])
        self.assertTrue(all(client.answers[one].ended for one in ids))

    def test_in_turns(self) -> None:
        """Streams that wait for the connection's credit share it."""
        client = self.talk({4: 1 << 20})
        client.greedy = False
        ids = [client.begin(path=f"/{n}") for n in range(4)]
        client.send()
        for up in self.ups:
            up.say(ok(b"z" * 60_000))
        self.settle()
        client.hear()
        for _ in range(3):
            client.h2.increment_flow_control_window(4 * 16384)
            client.send()
        self.assertEqual([60_000] * 4, [len(client.answers[one].body) for one in ids])

    def test_shut_window(self) -> None:
        """A client that allows no byte gets the head, and the body once it does."""
        client = self.talk({4: 0})
        one = client.request()
        self.say(self.up, ok(b"abc"))
        client.hear()
        self.assertEqual(
            (200, b"", False), (client.answers[one].status, client.answers[one].body, client.answers[one].ended)
        )
        client.h2.increment_flow_control_window(10, one)
        client.send()
        self.assertEqual((b"abc", True), (client.answers[one].body, client.answers[one].ended))
        self.assertEqual(1, self.factory.metrics.http2.waits)


class TurnTests(Http2Case):
    """Others have their turn, too."""

    def test_answered_by_us(self) -> None:
        """Requests that we answer ourselves are no more than so many in a turn."""
        self.proxy.fail(AcquireTimedOut(Authority("web.test", 80), 3.0))
        client = self.talk()
        for n in range(50):
            client.begin(path=f"/{n}")
        client.peer.say(client.h2.data_to_send())
        self.proxy.reactor.turn()
        self.assertEqual(TURN, self.errors["acquire_timeout"])
        self.settle()
        client.hear()
        self.assertEqual({503}, {answer.status for answer in client.answers.values()})

    def test_taken_back(self) -> None:
        """Nor are those that the client takes back at once."""
        client = self.talk()
        for _ in range(30):
            client.h2.reset_stream(client.begin(), 8)
        client.peer.say(client.h2.data_to_send())
        self.proxy.reactor.turn()
        self.assertLessEqual(len(self.proxy.leases), TURN)
        self.settle()
        self.assertEqual((30, ""), (len(self.rows), client.peer.ended))


class DrainTests(Http2Case):
    """The end of a connection."""

    def test_drain(self) -> None:
        """It is said twice; what was on its way in between is answered, what comes later is not, then it closes."""
        client = self.talk()
        one = client.request()
        two = client.begin(path="/2")
        late = client.h2.data_to_send()
        session = self.server()
        session.drain()
        session.drain()
        self.say(client.peer, late)
        client.hear()
        self.assertEqual([(0, 2**31 - 1), (0, two)], client.goaways)
        self.assertEqual([1, 3], [one, two])
        client.request(path="/3")
        self.assertEqual((2, ""), (len(self.ups), client.peer.ended))
        self.say(self.ups[0], OK)
        self.say(self.ups[1], OK)
        client.hear()
        self.assertEqual(([200, 200], "eof"), ([client.answers[n].status for n in (1, 3)], client.peer.ended))
        self.wait(1.0)
        self.assertEqual("closed", client.peer.ended)

    def test_no_answer(self) -> None:
        """A client that does not answer the question has a second."""
        client = self.client()
        self.say(client, HELLO)
        self.heard(client)
        self.server().drain()
        self.factory.drain()
        self.wait(ROUND_TRIP - 0.2)
        self.assertEqual("", client.ended)
        self.wait(0.4)
        self.assertIn(frame(7, 0, 0, b"\0\0\0\0\0\0\0\0"), self.heard(client))
        self.assertEqual("eof", client.ended)

    def test_idle(self) -> None:
        """An idle connection is told to go, after as long as one of HTTP/1; PING is no use of it."""
        self.start(timeouts=Timeouts(client_idle=5.0))
        client = self.talk()
        client.request()
        self.say(self.up, OK)
        for _ in range(5):
            self.assertEqual("", client.peer.ended)
            client.h2.ping(b"12345678")
            client.send()
            self.wait(0.9)
        self.assertEqual(5, len(client.pings))
        self.wait(1.5)
        client.hear()
        self.assertEqual("eof", client.peer.ended)
        self.assertEqual((faults.NO_ERROR, 1), client.goaways[-1])

    def test_not_idle(self) -> None:
        """As long as a request is under way it is not."""
        self.start(timeouts=Timeouts(client_idle=1.0))
        client = self.talk()
        one = client.request()
        self.wait(5)
        self.say(self.up, OK)
        client.hear()
        self.assertEqual((200, ""), (client.answers[one].status, client.peer.ended))

    def test_client_says_goaway(self) -> None:
        """A client that goes is answered first."""
        client = self.talk()
        one = client.request()
        client.frames(frame(7, 0, 0, b"\0" * 8))
        self.assertEqual("", client.peer.ended)
        self.say(self.up, OK)
        client.hear()
        self.assertEqual((200, "eof"), (client.answers[one].status, client.peer.ended))
        self.assertEqual(1, self.factory.metrics.http2.goaways[("peer", "NO_ERROR")])

    def test_fin(self) -> None:
        """A client that has closed its side has its answers, if they come soon."""
        client = self.talk()
        one = client.request()
        client.peer.hang_up()
        self.settle()
        self.say(self.up, OK)
        client.hear()
        self.assertEqual((200, "closed"), (client.answers[one].status, client.peer.ended))
        client = self.talk()
        client.request()
        client.peer.hang_up()
        self.wait(1.1)
        self.assertEqual(("reset", "reset", (0, "DC")), (client.peer.ended, self.up.ended, self.rows[-1]))

    def test_abort(self) -> None:
        """The proxy's own end is abrupt for what is not answered by then."""
        client = self.talk()
        client.request()
        self.server().abort()
        self.settle()
        self.assertEqual(("reset", "reset", [(0, "SD")]), (client.peer.ended, self.up.ended, self.rows))

    def test_last_ids(self) -> None:
        """A connection whose ids come to their end is told to go in time."""
        client = self.talk()
        client.h2.highest_outbound_stream_id = 2**31 - 3
        head = client.h2.encoder.encode([(":method", "GET"), (":scheme", "http"), (":authority", "x"), (":path", "/")])
        client.frames(frame(1, 5, 2**31 - 101, head))
        self.assertIn((0, 2**31 - 101), client.goaways)
        self.assertEqual(1, len(self.ups))


class ClockTests(Http2Case):
    """Clients, and upstreams, that are too slow."""

    timeouts = Timeouts(header_read=5.0, body=4.0, write=3.0, client_idle=60.0)

    def test_no_settings(self) -> None:
        """The preface and SETTINGS come within header_read."""
        for said in (HELLO[:10], HELLO[:24], HELLO[:30]):
            client = self.client(said)
            self.wait(4.5)
            self.assertEqual("", client.ended)
            self.wait(1.5)
            self.assertIn(client.ended, ("eof", "closed"))
            self.assertEqual(1, self.rejected.pop("slow"))

    def test_head_never_ends(self) -> None:
        """Nor may a head take longer, whatever trickles."""
        client = self.talk()
        client.frames(frame(1, 1, 1, b"\x82"))
        for _ in range(8):
            self.wait(0.9)
            client.frames(frame(9, 0, 1, b"\x84"))
        self.assertEqual(("eof", {"slow": 1}, []), (client.peer.ended, self.rejected, self.ups))

    def test_many_heads(self) -> None:
        """Heads that come, each in two pieces, are no slow head."""
        client = self.talk()
        for n in range(9):
            client.begin(path=f"/{n}")
            data = client.h2.data_to_send()
            self.say(client.peer, data[:7])
            self.wait(0.9)
            self.say(client.peer, data[7:])
            self.say(self.up, OK)
        self.assertEqual(("", {}), (client.peer.ended, self.rejected))

    def test_body(self) -> None:
        """A body that does not come is answered with 408, and costs no other stream."""
        client = self.talk()
        other = client.request()
        one = client.request(("content-length", "9"), method="POST", end=False)
        for _ in range(3):
            self.wait(3.0)
            client.body(one, b"x")
        self.assertEqual(0, client.answers[one].status)
        self.wait(5.5)
        client.hear()
        self.assertEqual((408, faults.NO_ERROR), (client.answers[one].status, client.answers[one].reset))
        self.assertEqual((0, "", {"slow": 1}), (client.answers[other].status, client.peer.ended, self.rejected))
        self.assertEqual(["", "reset"], [up.ended for up in self.ups])

    def test_body_not_taken(self) -> None:
        """One that the upstream does not take is the upstream's fault: 504."""
        client = self.talk()
        one = client.request(("content-length", "1000000"), method="POST", end=False)
        self.up.room = 10
        while credit := client.credit(one):
            client.body(one, b"x" * credit)
        self.wait(6)
        client.hear()
        self.assertEqual((504, "reset"), (client.answers[one].status, self.up.ended))
        self.assertEqual({"body_timeout": 1}, self.errors)

    def test_expecting(self) -> None:
        """A client that waits for a 100 is not waited for."""
        client = self.talk()
        one = client.request(("expect", "100-continue"), ("content-length", "2"), method="POST", end=False)
        self.wait(10)
        self.say(self.up, b"HTTP/1.1 100 Continue\r\n\r\n")
        client.hear()
        client.body(one, b"ab", True)
        self.say(self.up, OK)
        client.hear()
        self.assertEqual(200, client.answers[one].status)

    def test_stream_not_read(self) -> None:
        """A stream of whose answer the client takes nothing is reset; the others go on."""
        client = self.talk({4: 10})
        client.greedy = False
        slow, fine = client.begin(), client.begin()
        client.send()
        for up in self.ups:
            self.say(up, ok(b"x" * 100))
        for _ in range(9):
            self.wait(0.7)
            client.h2.increment_flow_control_window(10, fine)
            client.send()
        self.assertEqual((10, faults.CANCEL), (len(client.answers[slow].body), client.answers[slow].reset))
        self.assertEqual((100, None), (len(client.answers[fine].body), client.answers[fine].reset))
        self.assertEqual((1, ""), (self.rejected["slow"], client.peer.ended))

    def test_nothing_read(self) -> None:
        """A client that takes nothing at all is gone."""
        client = self.talk({4: 1 << 20})
        client.request()
        client.peer.room = 0
        self.say(self.up, ok(b"x" * 100_000))
        self.wait(4.5)
        self.assertEqual(("reset", 1, (200, "SL")), (client.peer.ended, self.rejected["slow"], self.rows[-1]))

    def test_slow_but_steady(self) -> None:
        """A steady slow reader is not cut."""
        client = self.talk({4: 1 << 20})
        client.h2.increment_flow_control_window(1 << 20)
        client.send()
        one = client.request()
        client.peer.room = 0
        self.up.say(ok(b"x" * 300_000))
        for _ in range(8):
            self.wait(1.5)
            client.peer.room = 10_000
        self.assertEqual("", client.peer.ended)
        client.peer.room = None
        self.wait(1)
        client.hear()
        self.assertEqual(300_000, len(client.answers[one].body))


class FloodTests(Http2Case):
    """Too much of what is allowed: GOAWAY with ENHANCE_YOUR_CALM, one line of the log, and nobody else is touched."""

    limits = Limits(h2_resets=50, h2_resets_per_second=10.0, h2_control_frames=100, h2_frames=500)

    def calmed(self, client: Client, reason: str = "h2_flood", code: int = faults.ENHANCE_YOUR_CALM) -> None:
        """C{client} is, and all its requests are taken back."""
        self.assertEqual([code], [goaway[0] for goaway in client.goaways][-1:])
        self.assertEqual({reason: 1}, self.rejected)
        self.assertEqual((0, set()), (self.proxy.open, {up.ended for up in self.ups} - {"reset"}))
        self.assertEqual(1, len(self.proxy.warnings), self.proxy.warnings)
        self.assertNotEqual("", client.peer.ended)

    def test_rapid_reset(self) -> None:
        """Requests that are taken back, faster than a client changes its mind."""
        client = self.talk()
        for _ in range(80):
            if client.peer.ended:
                break
            client.h2.reset_stream(client.begin(), 8)
            client.send()
        self.calmed(client)
        self.assertLess(len(self.proxy.records), 60)

    def test_seldom_reset(self) -> None:
        """As many in a longer time are none."""
        client = self.talk()
        for _ in range(80):
            client.reset(client.request())
            self.wait(0.1)
        self.assertEqual(({}, ""), (self.rejected, client.peer.ended))

    def test_provoked_resets(self) -> None:
        """Streams that we have to reset count as well."""
        client = self.talk()
        for _ in range(80):
            if client.peer.ended:
                break
            client.raw([(":method", "GET")])
        self.assertEqual(faults.ENHANCE_YOUR_CALM, client.goaways[-1][0])
        self.assertEqual((51, 1), (self.rejected["h2_pseudo"], self.rejected["h2_flood"]))

    def test_ping(self) -> None:
        """PING of a client that does not read what it has asked for."""
        client = self.talk()
        client.h2.ping(b"12345678")
        client.send()
        self.assertEqual([b"12345678"], client.pings)
        client.peer.room = 0
        for _ in range(100):
            self.say(client.peer, frame(6, 0, 0, b"12345678") * 100)
        self.assertEqual(("reset", {"h2_flood": 1}), (client.peer.ended, self.rejected))
        client = self.talk()
        self.say(client.peer, frame(6, 0, 0, b"12345678") * 90)
        self.assertEqual(90, len(self.heard(client.peer)) // 17)

    def test_settings(self) -> None:
        """SETTINGS likewise."""
        client = self.talk()
        client.peer.room = 0
        for _ in range(100):
            self.say(client.peer, frame(4, 0, 0) * 100)
        self.assertEqual(("reset", {"h2_flood": 1}), (client.peer.ended, self.rejected))

    def test_continuation(self) -> None:
        """A head in more pieces than any has."""
        client = self.talk()
        client.frames(frame(1, 1, 1, b"\x82"))
        client.frames(frame(9, 0, 1, b"\x84") * 70)
        self.calmed(client)

    def test_empty(self) -> None:
        """Frames without content."""
        client = self.talk()
        one = client.request(method="POST", end=False)
        client.frames(frame(0, 0, one) * 5)
        self.calmed(client)

    def test_bomb(self) -> None:
        """A few bytes that become many."""
        client = self.talk()
        large = client.h2.encoder.encode([("x", "y" * 3900)])
        client.frames(frame(1, 5, 1, large + b"\xbe" * 12_000))
        self.assertEqual([], self.ups)
        self.assertIn(client.goaways[-1][0], (faults.ENHANCE_YOUR_CALM, faults.COMPRESSION_ERROR))

    def test_bad_index(self) -> None:
        """An index of nothing costs the connection, whose table nobody knows any more."""
        client = self.talk()
        client.request()
        client.frames(frame(1, 5, 3, b"\xff\xff\x03"))
        self.calmed(client, "h2_hpack", faults.COMPRESSION_ERROR)

    def test_priority(self) -> None:
        """PRIORITY, which nobody needs."""
        client = self.talk()
        for _ in range(100):
            if client.peer.ended:
                break
            client.frames(frame(2, 0, 1, b"\0\0\0\0\x10") * 100)
        self.calmed(client)

    def test_window_updates(self) -> None:
        """WINDOW_UPDATE for nothing that was sent."""
        client = self.talk()
        for _ in range(100):
            if client.peer.ended:
                break
            client.frames(frame(8, 0, 0, b"\0\0\0\x01") * 100)
        self.calmed(client)

    def test_ignored(self) -> None:
        """PRIORITY_UPDATE, and frames that nobody knows, are ignored."""
        client = self.talk()
        client.frames(frame(16, 0, 0, b"\0\0\0\x01u=1") + frame(99, 0xFF, 5, b"what") + frame(10, 0, 0, b""))
        one = client.request()
        self.say(self.up, OK)
        client.hear()
        self.assertEqual(200, client.answers[one].status)


class ShownTests(Http2Case):
    """What is shown of it, and counted."""

    def test_described(self) -> None:
        """A row says what its streams do, and which of them wait for credit."""
        client = self.talk({4: 5})
        client.greedy = False
        row = self.server().describe()
        self.assertEqual(("idle", "HTTP/2", []), (row["state"], row["version"], row["streams"]))
        one = client.request(path="/one")
        two = client.request(path="/two")
        self.say(self.ups[0], ok(b"x" * 100))
        row = self.server().describe()
        self.assertEqual(("open", 2), (row["state"], row["requests"]))
        first, second = row["streams"]
        self.assertEqual((one, 5, True, 95), (first["id"], first["sent"], first["waits_for_credit"], first["kept"]))
        self.assertEqual((two, "GET /two", False), (second["id"], second["request"], second["waits_for_credit"]))
        self.assertEqual(65535 - 5, row["send_window"])
        self.proxy.reactor.advance(0.25)
        later = self.server().describe()["streams"][1]
        self.assertAlmostEqual(second["request_seconds"] + 0.25, later["request_seconds"], 3)

    def test_counted(self) -> None:
        """Connections that are open, and streams."""
        counts = self.factory.metrics.http2
        client = self.talk()
        client.request()
        self.talk()
        self.assertEqual((2, 2, 1), (counts.open, counts.connections, counts.streams))
        client.peer.reset()
        self.settle()
        self.assertEqual((1, 2, 1), (counts.open, counts.connections, counts.streams))

    def test_logged(self) -> None:
        """Each request says which version it came in, and on which stream."""
        client = self.talk()
        client.request()
        self.say(self.up, OK)
        client.request()
        self.say(self.up, OK)
        self.assertEqual(
            [("HTTP/2", 1), ("HTTP/2", 3)], [(row["protocol"], row["stream"]) for row in self.proxy.records]
        )


class ReferenceRequestTests(RequestTests):
    """The same of the other engine."""

    engine: Literal["lane", "reference"] = "reference"


class ReferenceRefusalTests(RefusalTests):
    """The same of the other engine, where the library lets a connection live that has broken no more than a stream."""

    engine: Literal["lane", "reference"] = "reference"

    def test_length(self) -> None:
        """A length that is not kept to ends the connection; the upstream hears of no whole request."""
        client = self.talk()
        one = client.request(("content-length", "3"), method="POST", end=False)
        client.body(one, b"ab", True)
        self.assertEqual(("eof", "reset"), (client.peer.ended, self.up.ended))


class ReferenceFlowTests(FlowTests):
    """The same of the other engine."""

    engine: Literal["lane", "reference"] = "reference"


class ReferenceDrainTests(DrainTests):
    """The same of the other engine."""

    engine: Literal["lane", "reference"] = "reference"


class ReferenceClockTests(ClockTests):
    """The same of the other engine."""

    engine: Literal["lane", "reference"] = "reference"
