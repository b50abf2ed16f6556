# -*- test-case-name: tests.protocols.kafka.test_session -*-
"""
Tests for L{lproxy.protocols.kafka.session}: whatever happens to a conversation, it ends well, once, and is counted.

Over 300 lines: one connection has many ways to end, and each wants the same scene.
"""

from __future__ import annotations

from lproxy.api import Accepted, Conn
from lproxy.stack.admit import TooManyInFlight
from lproxy.stack.failfast import FailedFast
from lproxy.stack.timeout import AcquireTimedOut
from lproxy.target import Authority, Metadata
from lproxy.testing import Peer
from lproxy.testing.proxy import CLIENT, OURS
from lproxy.testing.wire import MemoryStream
from lproxy.transport.proxy_protocol import v2
from tests.protocols.kafka.scene import (
    KafkaTestCase,
    answer,
    ask_metadata,
    ask_versions,
    beat,
    framed,
    handshake,
    handshaken,
    heartbeat,
    produce,
    versions,
)

UPSTREAM = Authority("upstream.test", 9000)
HELLO = bytes.fromhex("160301002f0100002b0303") + bytes(40)
HTTP = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class ConversationTests(KafkaTestCase):
    """What is said is heard, both ways, and shown."""

    def test_told(self) -> None:
        """A broker that is told of clients hears of each before its first request."""
        self.start(Metadata(proxy_protocol="v2"))
        self.client(heartbeat(1))
        self.assertEqual(v2.build(CLIENT, OURS) + heartbeat(1), self.broker.heard)

    def test_client_ids(self) -> None:
        """Requests are counted by who asks, where that is wanted: by all connections of a listener together."""
        self.start(client_ids=True)
        for name in ("a", "b", "a"):
            self.client(heartbeat(1, client=name), heartbeat(2, client=name))
        self.assertEqual({"a": 4, "b": 2, "": 0}, {name: c.requests for name, c in self.metrics.clients.items()})
        self.assertEqual(2 * len(heartbeat(1, client="b")), self.metrics.clients["b"].bytes)

    def test_connects_failed(self) -> None:
        """A broker that cannot be reached is counted, by its node id where that is known."""
        self.start(mode="gateway", base_port=9100, brokers={"7": "kafka-7:9092"})
        self.connector.mode = "refuse"
        for port in (None, 9107, 9107):
            self.client(heartbeat(1), port=port)
        self.assertEqual({"bootstrap": 1, "7": 2}, self.metrics.connects_failed)
        counted = {family.name: [n for _, n in family.samples] for family in self.metrics.families()}
        self.assertEqual(([1], [100]), (counted["kafka_brokers_bound"], counted["kafka_brokers_limit"]))

    def test_passed_unread(self) -> None:
        """A connection that goes on unread is counted as such."""
        for opaque in (False, True):
            self.start(on_invalid="opaque" if opaque else "close")
            self.client(heartbeat(1), framed(b"\0\x0c\0\4\0\0\0\1\0\x50abc"))
            self.assertEqual(int(opaque), self.metrics.unread)

    def test_long_client_id(self) -> None:
        """A client id may be as long as its length can say, and come in pieces."""
        said = heartbeat(1, client="c" * 32_767)
        client = self.client(said[:9_000], said[9_000:20_000])
        self.say(client, said[20_000:])
        self.assertEqual(said, self.broker.heard)
        self.say(self.broker, beat(1))
        self.assertEqual((beat(1), {}), (client.heard, self.metrics.protocol_errors))

    def test_conversation(self) -> None:
        """From the first byte to the last, unchanged; and then nothing is left."""
        client = self.client(ask_versions(1))
        self.assertEqual(ask_versions(1), self.broker.heard)
        self.say(self.broker, versions(1, 3, [(0, 0, 11)]))
        self.say(client, heartbeat(2), heartbeat(3))
        self.say(self.broker, beat(2), beat(3))
        self.assertEqual(versions(1, 3, [(0, 0, 11)]) + beat(2) + beat(3), client.heard)
        client.hang_up()
        self.settle()
        self.assertEqual(("eof", ""), (self.broker.ended, client.ended))
        self.broker.hang_up()
        self.settle()
        self.assert_over(client, flags="", errno="", upstream="10.0.0.9:9000", client_id="shop", in_flight=0, node=None)
        self.assertEqual("closed", self.broker.ended)
        self.assertEqual({}, self.incomplete)

    def test_described(self) -> None:
        """Who talks to whom, and how much is unanswered."""
        client = self.client(heartbeat(1), heartbeat(2))
        row = self.session.describe()
        self.assertEqual(
            ("scripted", "kafka", "10.0.0.1:40000", "upstream.test:9000", "10.0.0.9:9000", "talking", "shop", None, 2),
            tuple(
                row[key]
                for key in [
                    "listener",
                    "protocol",
                    "client",
                    "target",
                    "upstream",
                    "state",
                    "client_id",
                    "node",
                    "in_flight",
                ]
            ),
        )
        self.assertEqual((len(client.heard), len(self.broker.heard)), (row["bytes_out"], row["bytes_in"]))
        self.assertEqual(("shop", ""), self.session.names())
        self.assertEqual((1, 2), (self.metrics.open(), self.metrics.in_flight()))
        self.assertIn("upstream.test:9000", repr(self.session))

    def test_states(self) -> None:
        """Waiting for a word, then for a broker, then talking."""
        self.connector.mode = "wait"
        client = self.client()
        self.assertEqual("waiting", self.state)
        self.say(client, heartbeat())
        self.assertEqual("acquiring", self.state)
        self.connector.accept()
        self.assertEqual("talking", self.state)

    def test_before_the_broker(self) -> None:
        """What is said before there is a broker goes first, in order, however it was cut."""
        self.connector.mode = "wait"
        said = heartbeat(1) + produce(2) + heartbeat(3)
        client = self.client(said[:3])
        self.assertEqual([], self.connector.waiting)
        for i in range(3, len(said) - 5):
            self.say(client, said[i : i + 1])
        client.say(said[-5:-2])
        self.connector.accept()
        self.settle()
        self.say(client, said[-2:])
        self.assertEqual(said, self.broker.heard)
        self.assertEqual(1, len(self.connector.upstreams))

    def test_bounded(self) -> None:
        """Of that, about as much as limits.buffer is kept; the rest waits in the kernel, and arrives."""
        self.connector.mode = "wait"
        said = produce(1, size=500_000)
        client = self.client(said)
        self.assertGreater(client.unread, 300_000)
        self.connector.accept()
        self.settle()
        self.assertEqual(said, self.broker.heard)

    def test_eof_before_the_broker(self) -> None:
        """The end of what a client says is passed on after it, and its answer comes."""
        self.connector.mode = "wait"
        client = self.client(heartbeat())
        client.hang_up()
        self.settle()
        self.connector.accept()
        self.settle()
        self.assertEqual((heartbeat(), "eof"), (self.broker.heard, self.broker.ended))
        self.say(self.broker, beat())
        self.assertEqual(beat(), client.heard)
        self.broker.hang_up()
        self.settle()
        self.assert_over(client)

    def test_eof_without_a_word(self) -> None:
        """Who says nothing, or no whole header, is closed, and nobody is dialled."""
        for said in (b"", heartbeat()[:9]):
            client = self.client(said)
            client.hang_up()
            self.settle()
            self.assert_over(client, upstream=None, client_id=None)
        self.assertEqual([], self.connector.upstreams)

    def test_half_closed(self) -> None:
        """A client that has said all still hears its answers, of any size."""
        client = self.client(heartbeat(1), heartbeat(2))
        client.hang_up()
        self.settle()
        self.assertEqual("eof", self.broker.ended)
        self.say(self.broker, beat(1))
        self.say(self.broker, beat(2))
        self.assertEqual(beat(1) + beat(2), client.heard)
        self.assertEqual({}, self.incomplete)

    def test_half_closed_in_a_header(self) -> None:
        """What it had said of another is passed on too: the broker's business."""
        client = self.client(heartbeat(1), heartbeat(2)[:7])
        client.hang_up()
        self.settle()
        self.assertEqual(heartbeat(1) + heartbeat(2)[:7], self.broker.heard)

    def test_counted(self) -> None:
        """Connections by their labels, requests by theirs."""
        client = self.client(heartbeat(1), produce(2, acks=0))
        self.say(self.broker, beat(1))
        client.hang_up()
        self.broker.hang_up()
        self.settle()
        names = {family.name: list(family.samples) for source in self.proxy.metrics for family in source()}
        own = (("direction", "outbound"), ("listener", "scripted"))
        at = (("version", "4"), ("node", ""))
        self.assertIn(((*own, ("api", "Heartbeat"), *at), 1), names["kafka_responses_total"])
        self.assertEqual([(own, 1)], names["kafka_connections_total"])
        self.assertEqual([(own, 0)], names["kafka_connections_open"])
        self.assertEqual([(own, 1)], names["kafka_no_response_total"])
        dst = self.proxy.counted["outbound", "dst", "10.0.0.2", "10.0.0.9:9000", "kafka"]
        self.assertEqual((len(beat(1)), len(heartbeat(1) + produce(2, acks=0))), dst.totals())


class InvalidTests(KafkaTestCase):
    """What is no Kafka."""

    def refused(self, said: bytes, reason: str, words: str) -> None:
        client = self.client(said)
        self.assert_over(client, flags="PE", upstream=None)
        self.assertEqual({reason: 1}, self.metrics.protocol_errors)
        self.warned(f"kafka connection from 10.0.0.1: the client {words}")
        self.metrics.protocol_errors.clear()

    def test_size(self) -> None:
        """Sizes that no broker would take are refused by their four bytes, in any mode, and nobody is dialled."""
        for size in (-1, 0, 7, 2**31 - 1, 100 * 2**20 + 1, -(2**31)):
            self.refused(size.to_bytes(4, "big", signed=True), "size" if size < 8 else "too_large", "announces")
        self.assertEqual([], self.connector.upstreams)

    def test_closed(self) -> None:
        """Where nothing unread may pass, a bad first frame never makes us dial."""
        for table in ({"on_invalid": "close"}, {"mode": "gateway", "base_port": 9100}, {"deny": ["Fetch"]}):
            self.start(**table)
            self.refused(HELLO, "tls_on_plaintext", "speaks TLS to a Kafka listener without it: closed")
            self.refused(HTTP, "http", "speaks HTTP: closed")
            self.refused(framed(b"\0\x0c\0\4\0\0\0\1\0\x50abc"), "client_id", "sends a client id that does not fit")
            self.assertEqual([], self.connector.upstreams)

    def test_after_a_good_one(self) -> None:
        """Nor does a bad one behind a good one, if they come together; if not, it ends what was begun."""
        self.start(on_invalid="close")
        client = self.client(heartbeat(), HTTP)
        self.assert_over(client, flags="PE", upstream=None)
        client = self.client(heartbeat())
        self.say(client, HTTP + bytes(70_000))
        self.assert_over(client, flags="PE")
        self.assertEqual((heartbeat(), "closed"), (self.broker.heard, self.broker.ended))
        self.assertEqual({"Heartbeat": 2}, self.incomplete)

    def test_while_acquiring(self) -> None:
        """Nor while a broker is looked for: the search ends."""
        self.start(on_invalid="close")
        self.connector.mode = "wait"
        client = self.client(heartbeat())
        self.say(client, HTTP)
        self.assert_over(client, flags="PE", upstream=None)
        self.assertEqual(1, self.connector.cancelled)

    def test_opaque(self) -> None:
        """Where it may pass, all of it does, both ways, from the first byte; the log says so once."""
        self.connector.mode = "wait"
        client = self.client(HTTP[:5])
        self.connector.accept()
        self.say(client, HTTP[5:])
        self.assertEqual((HTTP, "opaque"), (self.broker.heard, self.state))
        self.say(self.broker, b"HTTP/1.1 200 OK\r\n\r\n", bytes(100_000))
        self.assertEqual(b"HTTP/1.1 200 OK\r\n\r\n" + bytes(100_000), client.heard)
        self.warned("speaks HTTP: passed on unread")
        client.hang_up()
        self.settle()
        self.assertEqual("eof", self.broker.ended)
        self.broker.hang_up()
        self.settle()
        self.assert_over(client, flags="PE", errno="")

    def test_opaque_later(self) -> None:
        """Also in mid-conversation, with answers outstanding and in the middle of one; none is called incomplete."""
        client = self.client(heartbeat(1), heartbeat(2))
        self.say(self.broker, beat(1)[:6])
        self.say(client, HTTP)
        self.say(self.broker, beat(1)[6:], beat(2), b"what")
        self.assertEqual((heartbeat(1) + heartbeat(2) + HTTP), self.broker.heard)
        self.assertEqual(beat(1) + beat(2) + b"what", client.heard)
        self.assertEqual(("opaque", 0), (self.state, self.metrics.in_flight()))
        self.broker.hang_up()
        self.settle()
        self.assert_over(client)
        self.assertEqual({}, self.incomplete)

    def test_opaque_from_the_broker(self) -> None:
        """An answer to nothing, or to something else, passes too, and what the client had begun."""
        for correlation, reason in ((9, "correlation"), (1, "unexpected")):
            self.start()
            client = self.client(heartbeat(1), produce(2)[:9])
            if reason == "unexpected":
                self.say(self.broker, beat(1))
            self.say(self.broker, beat(correlation))
            self.assertEqual({reason: 1}, self.metrics.protocol_errors)
            self.assertEqual(heartbeat(1) + produce(2)[:9], self.broker.heard)
            self.say(client, b"anything")
            self.assertEqual(heartbeat(1) + produce(2)[:9] + b"anything", self.broker.heard)
            self.assertTrue(client.heard.endswith(beat(correlation)))

    def test_broker_refused(self) -> None:
        """Where it may not pass, both are closed, after what was answered before."""
        for wrong, reason in (
            (beat(9), "correlation"),
            (HELLO, "upstream_tls"),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", "upstream_http"),
            (b"\0\0\0\1x", "upstream_size"),
            (b"\x7f\xff\xff\xff", "upstream_too_large"),
        ):
            self.start(on_invalid="close")
            client = self.client(heartbeat(1), heartbeat(2), heartbeat(3))
            self.say(self.broker, beat(1), wrong, beat(2))
            self.assertEqual(beat(1), client.heard)
            self.assert_over(client, flags="PE")
            self.assertEqual(({reason: 1}, {"Heartbeat": 2}), (self.metrics.protocol_errors, self.incomplete))
            self.assertEqual(1, len(self.proxy.warnings))

    def test_paused_and_opaque(self) -> None:
        """A client that was not read for its many requests is read again when nobody can read its broker."""
        self.start(max_in_flight=2)
        client = self.client(heartbeat(1), heartbeat(2), heartbeat(3))
        self.assertEqual("paused", self.state)
        self.say(self.broker, beat(77))
        self.say(client, heartbeat(4))
        self.assertEqual(b"".join(map(heartbeat, range(1, 5))), self.broker.heard)


class EndTests(KafkaTestCase):
    """Whoever goes, and whenever: the other side is told, and nothing is left."""

    def test_client_while_acquiring(self) -> None:
        """The search for a broker ends with the client, whether it had said all or not."""
        for hung_up in (False, True):
            self.start()
            self.connector.mode = "wait"
            client = self.client(heartbeat())
            if hung_up:
                client.hang_up()
                self.settle()
            client.reset()
            self.settle()
            self.assertEqual(1, self.connector.cancelled)
            self.assert_over(client, errno="ECONNRESET", upstream=None, flags="")
            self.assertEqual({"Heartbeat": 1}, self.incomplete)
            self.assertEqual([], self.proxy.warnings)

    def test_gone_at_once(self) -> None:
        """The search has ended before anybody returns to the reactor: no broker is connected for nobody."""
        self.connector.mode = "wait"
        client = self.client(heartbeat())
        self.session.abort()
        self.assertEqual(([], 1), (self.connector.waiting, self.connector.cancelled))
        self.assert_over(client, "reset", flags="SD", upstream=None)

    def test_client_gone(self) -> None:
        """A client's reset is the broker's."""
        client = self.client(heartbeat())
        client.reset()
        self.settle()
        self.assertEqual("reset", self.broker.ended)
        self.assert_over(client, "closed", errno="ECONNRESET")
        self.assertEqual({"Heartbeat": 1}, self.incomplete)

    def test_broker_gone(self) -> None:
        """A broker that hangs up ends the client's connection after what was answered; the rest is incomplete."""
        client = self.client(heartbeat(1), heartbeat(2), produce(3))
        client.room = 5
        self.broker.say(beat(1))
        self.broker.hang_up()
        self.settle()
        self.assertEqual("", client.ended)
        client.room = None
        self.settle()
        self.assertEqual(beat(1), client.heard)
        self.assert_over(client, flags="", errno="")
        self.assertEqual({"Heartbeat": 1, "Produce": 1}, self.incomplete)

    def test_broker_gone_in_an_answer(self) -> None:
        """Half an answer is passed on as far as it came."""
        client = self.client(heartbeat(1), heartbeat(2))
        self.broker.say(beat(1) + beat(2)[:10])
        self.broker.hang_up()
        self.settle()
        self.assertEqual(beat(1) + beat(2)[:10], client.heard)
        self.assert_over(client)

    def test_broker_reset(self) -> None:
        """A broker's reset is the client's."""
        client = self.client(heartbeat())
        self.broker.reset()
        self.settle()
        self.assert_over(client, "reset")
        self.assertEqual({"Heartbeat": 1}, self.incomplete)

    def test_broker_gone_at_once(self) -> None:
        """Also one that is gone before it is written to."""
        self.connector.mode = "wait"
        client = self.client(heartbeat())
        endpoint, d = self.connector.waiting.pop()
        peer = Peer()
        peer.reset()
        self.connector.upstreams.append(peer)
        d.callback(self.proxy.reactor.stream(peer, (endpoint.host, endpoint.port), OURS))
        self.settle()
        self.assert_over(client, "reset")

    def test_abort(self) -> None:
        """A shutdown that has waited long enough resets both; before there is a broker, the client."""
        for said, mode in ((b"", "accept"), (heartbeat(), "wait"), (heartbeat(), "accept")):
            self.start()
            self.connector.mode = "wait" if mode == "wait" else "accept"
            client = self.client(said)
            self.session.abort()
            self.settle()
            self.assert_over(client, "reset", flags="SD")

    def test_nowhere(self) -> None:
        """A listener for redirected connections refuses one that was not, and says what to change."""
        self.target = "authority"
        self.start()
        client = self.client(heartbeat())
        self.assert_over(client, "reset", flags="NR", target=None)
        self.warned("target = 'authority' names no address for it. Set target")
        self.assertEqual({}, self.metrics.apis)

    def test_redirected(self) -> None:
        """One that was redirected goes where it was going."""
        self.target = "original-dst"
        self.start()
        peer = Peer()
        stream = MemoryStream(self.proxy.reactor, peer, Conn(CLIENT, OURS, ("10.9.9.9", 9092)))
        session = self.factory.session(Accepted(stream, "kafka", prefix=heartbeat()))
        self.proxy.sessions.append(session)
        session.start()
        self.settle()
        self.clients.append(peer)
        self.assertEqual((heartbeat(), "10.9.9.9:9092"), (self.broker.heard, self.session.describe()["target"]))


class RefusedTests(KafkaTestCase):
    """Without a broker the client's connection is reset, and the log says why, once."""

    def test_refused(self) -> None:
        """Who, where to, how long it took, and what the kernel said."""
        self.connector.mode = "wait"
        client = self.client(heartbeat())
        self.settle(0.5)
        self.connector.refuse()
        self.settle()
        self.warned(
            "listener scripted: kafka connection to upstream.test:9000 closed after 0.500 s: "
            "connect: 10.0.0.9:9000 refused"
        )
        (parts,) = self.proxy.failed
        self.assertEqual(("connect", "upstream.test:9000", 0.5), (parts.layer, parts.target, parts.waited))
        self.assert_over(client, "reset", flags="UF", upstream="10.0.0.9:9000")
        self.assertEqual({"Heartbeat": 1}, self.incomplete)

    def test_flags(self) -> None:
        """The flag tells what it was."""
        for error, flags in (
            (AcquireTimedOut(UPSTREAM, 3.0), "UT"),
            (FailedFast(UPSTREAM, 3.0), "UH"),
            (TooManyInFlight(UPSTREAM, 10), "UO"),
        ):
            self.start()
            self.proxy.fail(error)
            client = self.client(heartbeat())
            self.assert_over(client, "reset", flags=flags, upstream=None)
            self.warned("kafka connection to upstream.test:9000 closed after 0.000 s")
            self.proxy.fail(None)

    def test_unexpected(self) -> None:
        """What must not happen is told as a crash of the protocol, not as a line of the log."""
        self.crashed = 1
        self.proxy.fail(ZeroDivisionError())
        client = self.client(heartbeat())
        self.assert_over(client, "reset", flags="BUG")
        self.assertEqual([], self.proxy.warnings)


class LoginTests(KafkaTestCase):
    """SaslHandshake v0: raw SASL tokens, which are not requests."""

    def test_tokens(self) -> None:
        """They pass, and what follows is read again."""
        client = self.client(handshake(1))
        self.say(self.broker, handshaken(1))
        self.say(client, framed(b"\0shop\0secret"))
        self.say(self.broker, framed(b""))
        self.say(client, heartbeat(2))
        self.say(self.broker, beat(2))
        self.assertEqual(handshake(1) + framed(b"\0shop\0secret") + heartbeat(2), self.broker.heard)
        self.assertEqual(handshaken(1) + framed(b"") + beat(2), client.heard)
        self.assertEqual(({("PLAIN", "ok"): 1}, {}), (self.metrics.sasl, self.metrics.protocol_errors))

    def test_rejected(self) -> None:
        """Or do not, where that is forbidden: the client is closed before anybody is asked."""
        self.start(sasl_v0="reject")
        client = self.client(handshake(1))
        self.assert_over(client, flags="PE", upstream=None)
        self.assertEqual({"SaslHandshake": 1}, self.metrics.denied)

    def test_closed_by_the_broker(self) -> None:
        """A broker that is not content hangs up: so do we."""
        client = self.client(handshake(1))
        self.say(self.broker, handshaken(1))
        self.say(client, framed(b"\0shop\0wrong"))
        self.broker.hang_up()
        self.settle()
        self.assert_over(client)


class MetadataTests(KafkaTestCase):
    """Whatever a listener that only looks is told, it passes on."""

    def test_unchanged(self) -> None:
        """Addresses too."""
        client = self.client(ask_metadata(5))
        said = answer(3, 12, 5, bytes.fromhex("00000000") + b"\2\0\0\0\1\7kafka1" + b"\0\0\x23\x84\0\0" + bytes(30))
        self.say(self.broker, said)
        self.assertEqual(said, client.heard)
