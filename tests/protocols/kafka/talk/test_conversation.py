# -*- test-case-name: tests.protocols.kafka.talk.test_conversation -*-
"""
Tests for L{lproxy.protocols.kafka.talk.conversation}: both directions, and what each knows of the other.

Over 300 lines: what is outstanding has many ways to be answered, and they share their scene.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.kafka.talk.conversation import UNANSWERED
from tests.protocols.kafka.talk.scripted import Talk, answer, ask, beat, framed, handshake, heartbeat, produce

#: the answers to SaslHandshake: a mechanism that the broker has, and one that it has not
GRANTED, REFUSED = b"\0\0\0\0\0\1\0\5PLAIN", b"\0\x21\0\0\0\1\0\5PLAIN"


def granted(version: int = 0, correlation: int = 1, body: bytes = GRANTED) -> bytes:
    """The answer to L{handshake}."""
    return answer(17, version, correlation, body)


def authenticate(correlation: int, version: int = 1) -> bytes:
    """A round of a login."""
    return ask(36, version, correlation, b"\5abcd\0" if version == 2 else b"\0\0\0\4abcd")


def authenticated(correlation: int, version: int = 1, error: int = 0) -> bytes:
    """And what the broker says of it."""
    return answer(36, version, correlation, error.to_bytes(2, "big") + bytes(14))


class TalkTestCase(SynchronousTestCase):
    """Tests of a conversation."""

    def begin(self, **settings: Any) -> Talk:
        """A new one."""
        self.talk = Talk(**settings)
        return self.talk

    def exchange(self, steps: Sequence[tuple[str, bytes]], rng: random.Random | None = None, **settings: Any) -> Talk:
        """
        A new conversation of what C{client} and C{broker} say, in pieces if C{rng} is given. All passes unchanged.
        """
        talk = self.begin(**settings)
        said = {"client": b"", "broker": b""}
        for who, data in steps:
            said[who] += data
            while data:
                size = len(data) if rng is None else rng.choice((1, 2, 3, 7, 50))
                getattr(talk, who)(data[:size])
                data = data[size:]
            self.assertEqual(said, {"client": talk.to_broker, "broker": talk.to_client})
        self.assertFalse(talk.over)
        return talk

    def exchange_all_ways(self, steps: Sequence[tuple[str, bytes]], **settings: Any) -> Talk:
        """At once, and in pieces."""
        for seed in range(5):
            self.exchange(steps, random.Random(seed), **settings)
        return self.exchange(steps, **settings)


class OrderTests(TalkTestCase):
    """An answer belongs to the request that has waited longest."""

    def test_pipelined(self) -> None:
        """A thousand requests are outstanding, and each is answered in its turn."""
        talk = self.begin()
        asked = b"".join(ask(12, 4, i) if i % 2 else ask(3, 12, i) for i in range(1000))
        self.assertIs(asked, talk.requests.feed(asked))
        self.assertEqual(list(range(1000)), talk.outstanding)
        answers = b"".join(answer(12, 4, i) if i % 2 else answer(3, 12, i, b"x" * 90) for i in range(1000))
        self.assertIs(answers, talk.answers.feed(answers))
        self.assertEqual([], talk.outstanding)
        counts = {name: (api.request_bytes, api.response_bytes) for name, api in talk.metrics.apis.items()}
        self.assertEqual({"Heartbeat": (500 * 19, 500 * 11), "Metadata": (500 * 19, 500 * 99)}, counts)
        responses = {at[:2]: (one.requests, one.responses) for at, one in talk.metrics.versions.items()}
        self.assertEqual({("Heartbeat", "4"): (500, 500), ("Metadata", "12"): (500, 500)}, responses)
        self.assertEqual({}, talk.metrics.protocol_errors)

    def test_ids(self) -> None:
        """Correlation ids may repeat, wrap and be negative: they are the client's."""
        for ids in ([0] * 5, [2**31 - 2, 2**31 - 1, -(2**31), 1 - 2**31], [-1, -1, 5, -1], [3, 2, 1, 2**31 - 1, 4]):
            asked = b"".join(map(heartbeat, ids))
            talk = self.exchange_all_ways([("client", asked), ("broker", b"".join(map(beat, ids)))])
            self.assertEqual(([], {}), (talk.outstanding, talk.metrics.protocol_errors))

    def test_latency(self) -> None:
        """From a request's last byte to the first of its answer's header."""
        talk = self.begin()
        asked = heartbeat()
        talk.client(asked[:-1])
        talk.turn(5)
        talk.client(asked[-1:])
        talk.turn(2)
        talk.broker(beat()[:8])
        talk.turn(3)
        talk.broker(beat()[8:])
        self.assertEqual(2.0, talk.metrics.apis["Heartbeat"].latency.total)

    def test_incomplete(self) -> None:
        """What was not answered when all was over is counted, once, by API; what has no answer is not."""
        talk = self.begin()
        talk.client(heartbeat(1), heartbeat(2), ask(3, 12, 3), produce(4, acks=0), handshake(b"PLAIN", 0, 5))
        talk.broker(beat(1))
        talk.talk.ended()
        talk.talk.ended()
        counts = {name: api.incomplete for name, api in talk.metrics.apis.items() if api.incomplete}
        self.assertEqual({"Heartbeat": 1, "Metadata": 1, "SaslHandshake": 1}, counts)
        self.assertEqual([], talk.outstanding)


class SilentTests(TalkTestCase):
    """Requests that have no answer."""

    def test_acks_0(self) -> None:
        """Produce with acks=0 in all its versions, with a transactional id or none: nothing is waited for."""
        for version in range(14):
            for id in (None, b"", b"tx"):
                for acks in (0, 1, -1):
                    steps = [("client", produce(1, acks, version, id) + heartbeat(2))]
                    steps += [("broker", answer(0, version, 1, b"?") * (acks != 0) + beat(2))]
                    talk = self.exchange(steps)
                    self.assertEqual(([], {}), (talk.outstanding, talk.metrics.protocol_errors), (version, id, acks))
                    self.assertEqual((acks == 0, 0), (talk.metrics.no_response, talk.metrics.unexpected))
        talk = self.exchange_all_ways(steps)

    def test_answered(self) -> None:
        """Should one be answered nevertheless, the answer passes and is counted; the order of others is kept."""
        asked = heartbeat(1) + produce(2, 0) + heartbeat(3) + produce(4, 0)
        answers = beat(1) + answer(0, 9, 2, b"!") + beat(3) + answer(0, 9, 4, b"!")
        talk = self.exchange_all_ways([("client", asked), ("broker", answers)])
        self.assertEqual((2, 2, {}), (talk.metrics.no_response, talk.metrics.unexpected, talk.metrics.protocol_errors))
        self.assertEqual(0, len(talk.talk.no_response))
        # but only once
        talk.broker(answer(0, 9, 4, b"!"))
        self.assertEqual({"unexpected": 1}, talk.metrics.protocol_errors)

    def test_bounded(self) -> None:
        """Who never gets an answer is not remembered for ever; the latest are."""
        talk = self.begin()
        talk.client(b"".join(produce(i, 0) for i in range(UNANSWERED * 3)))
        self.assertEqual((UNANSWERED, UNANSWERED * 3), (len(talk.talk.no_response), talk.metrics.no_response))
        talk.broker(answer(0, 9, UNANSWERED * 2))
        self.assertEqual((1, {}), (talk.metrics.unexpected, talk.metrics.protocol_errors))

    def test_unread(self) -> None:
        """They take no place among those that wait."""
        talk = self.begin(max_in_flight=1)
        talk.client(b"".join(produce(i, 0) for i in range(100)))
        self.assertEqual("", talk.held)


class HandshakeV0Tests(TalkTestCase):
    """SaslHandshake v0, and bare tokens after it."""

    def test_plain(self) -> None:
        """One token, which is answered by an empty one; then requests, at once."""
        for token in (b"\0user\0password", b"", b"x", b"\0\0\0\0\0\0\0\1", beat(2)):
            steps = [("client", handshake()), ("broker", granted()), ("client", framed(token)), ("broker", framed(b""))]
            steps += [("client", heartbeat(2) + heartbeat(3)), ("broker", beat(2) + beat(3))]
            talk = self.exchange_all_ways(steps)
            self.assertEqual({("PLAIN", "ok"): 1}, talk.metrics.sasl)
            self.assertEqual(([], {}, False), (talk.outstanding, talk.metrics.protocol_errors, talk.opaque))
            self.assertNotIn("password", repr(talk.said))

    def test_at_once(self) -> None:
        """The client may say its first request together with its last token, and the broker answer both together."""
        steps = [("client", handshake()), ("broker", granted()), ("client", framed(b"\0u\0p") + heartbeat(2))]
        talk = self.exchange_all_ways([*steps, ("broker", framed(b"") + beat(2))])
        self.assertEqual(
            ({("PLAIN", "ok"): 1}, {}, []), (talk.metrics.sasl, talk.metrics.protocol_errors, talk.outstanding)
        )

    def test_scram(self) -> None:
        """Two rounds, each answered by a token of any length."""
        for mechanism in (b"SCRAM-SHA-256", b"SCRAM-SHA-512"):
            for first in (b"r=abc,s=def,i=4096", b"", b"abc", bytes(8)):
                steps = [("client", handshake(mechanism)), ("broker", granted())]
                steps += [("client", framed(b"n,,n=u,r=abc")), ("broker", framed(first))]
                steps += [("client", framed(b"c=biws,p=xyz")), ("broker", framed(b"v=1"))]
                talk = self.exchange_all_ways([*steps, ("client", heartbeat(2)), ("broker", beat(2))])
                self.assertEqual({(mechanism.decode(), "ok"): 1}, talk.metrics.sasl)
                self.assertEqual(([], {}), (talk.outstanding, talk.metrics.protocol_errors))

    def test_unknown(self) -> None:
        """Where nobody knows how many tokens there are, all passes unread from the broker's consent on."""
        steps = [("client", heartbeat(7) + handshake(b"GSSAPI")), ("broker", beat(7) + granted())]
        steps += [("client", framed(b"abc") * 3 + b"\xff" * 9), ("broker", b"\xff\xff\xff\xff!")]
        talk = self.exchange_all_ways(steps)
        self.assertEqual(({"sasl_v0": 1}, True), (talk.metrics.protocol_errors, talk.opaque))
        talk = self.begin(on_invalid="close")
        talk.client(handshake(b"GSSAPI"))
        self.assertEqual((b"", True), (talk.broker(granted()), talk.over))

    def test_refused(self) -> None:
        """A mechanism that the broker has not: no token follows, and the client may ask for another."""
        steps = [("client", handshake(b"MINE")), ("broker", granted(body=REFUSED))]
        steps += [("client", handshake(correlation=2)), ("broker", granted(correlation=2))]
        steps += [("client", framed(b"\0u\0p")), ("broker", framed(b"")), ("client", heartbeat(3)), ("broker", beat(3))]
        talk = self.exchange_all_ways(steps)
        self.assertEqual({("other", "failed"): 1, ("PLAIN", "ok"): 1}, talk.metrics.sasl)
        self.assertEqual(([], {}), (talk.outstanding, talk.metrics.protocol_errors))

    def test_while_outstanding(self) -> None:
        """What was asked before is answered before."""
        steps = [
            ("client", heartbeat(1) + produce(2) + handshake(correlation=3)),
            ("broker", beat(1) + answer(0, 9, 2)),
        ]
        steps += [("broker", granted(correlation=3)), ("client", framed(b"\0u\0p")), ("broker", framed(b""))]
        talk = self.exchange_all_ways(steps)
        self.assertEqual(
            ({("PLAIN", "ok"): 1}, {}, []), (talk.metrics.sasl, talk.metrics.protocol_errors, talk.outstanding)
        )

    def test_token_size(self) -> None:
        """A token may be small, but not of a size that cannot be."""
        for size in (-1, -(2**31), 2**31 - 1, 100 * 1024 * 1024 + 1):
            talk = self.begin()
            talk.client(handshake())
            talk.broker(granted())
            self.assertEqual(b"", talk.client(size.to_bytes(4, "big", signed=True)))
            self.assertTrue(talk.over)

    def test_token_of_broker(self) -> None:
        """The same from the broker's side: unread."""
        for size in (-1, 2**31 - 1):
            talk = self.begin()
            talk.client(handshake())
            talk.broker(granted())
            talk.client(framed(b"x"))
            raw = size.to_bytes(4, "big", signed=True)
            self.assertEqual((raw, True), (talk.broker(raw), talk.opaque))

    def test_too_early(self) -> None:
        """A client that does not wait for the broker's consent is not understood, but nothing of it is lost."""
        steps = [("client", handshake() + framed(b"\0user\0password") + heartbeat(2))]
        self.exchange([*steps, ("broker", granted() + framed(b"") + beat(2))])

    def test_rejected(self) -> None:
        """Where such logins are not wanted, the handshake does not go on."""
        talk = self.begin(sasl_v0="reject")
        self.assertEqual(heartbeat(1), talk.client(heartbeat(1) + handshake(correlation=2) + heartbeat(3)))
        self.assertEqual((True, {"SaslHandshake": 1}), (talk.over, talk.metrics.denied))
        talk = self.begin(sasl_v0="reject")
        self.assertEqual(handshake(version=1), talk.client(handshake(version=1)))


class LoginTests(TalkTestCase):
    """SaslHandshake v1 and SaslAuthenticate, which are requests as others."""

    def logged_in(self, mechanism: bytes, rounds: int, error: int = 0, version: int = 1) -> dict[tuple[str, str], int]:
        """What is counted of a login of so many rounds, the last of which ends so."""
        steps = [("client", handshake(mechanism, 1)), ("broker", granted(1))]
        for i in range(1, rounds + 1):
            steps.append(("client", authenticate(1 + i, version)))
            steps.append(("broker", authenticated(1 + i, version, error if i == rounds else 0)))
        talk = self.exchange_all_ways([*steps, ("client", heartbeat(9)), ("broker", beat(9))])
        self.assertEqual(([], {}, False), (talk.outstanding, talk.metrics.protocol_errors, talk.opaque))
        return talk.metrics.sasl

    def test_ok(self) -> None:
        """A login is counted once it has succeeded, in all versions, SCRAM after its second round."""
        for version in (0, 1, 2):
            self.assertEqual({("PLAIN", "ok"): 1}, self.logged_in(b"PLAIN", 1, 0, version))
            self.assertEqual({("SCRAM-SHA-512", "ok"): 1}, self.logged_in(b"SCRAM-SHA-512", 2, 0, version))

    def test_failed(self) -> None:
        """And when it has failed, in whatever round."""
        for version in (0, 1, 2):
            self.assertEqual({("PLAIN", "failed"): 1}, self.logged_in(b"PLAIN", 1, 58, version))
            self.assertEqual({("SCRAM-SHA-256", "failed"): 1}, self.logged_in(b"SCRAM-SHA-256", 1, 58, version))
            self.assertEqual({("SCRAM-SHA-256", "failed"): 1}, self.logged_in(b"SCRAM-SHA-256", 2, 58, version))

    def test_half_done(self) -> None:
        """A login that did not go on is none."""
        self.assertEqual({}, self.logged_in(b"SCRAM-SHA-256", 1))

    def test_tags(self) -> None:
        """Tags before the error code are not taken for it."""
        tagged = framed(b"\0\0\0\2" + b"\1\5\3abc" + b"\0\0" + bytes(14))
        steps = [("client", handshake(version=1)), ("broker", granted(1)), ("client", authenticate(2, 2))]
        talk = self.exchange_all_ways([*steps, ("broker", tagged), ("client", heartbeat()), ("broker", beat())])
        self.assertEqual(({("PLAIN", "ok"): 1}, {}), (talk.metrics.sasl, talk.metrics.protocol_errors))

    def test_labels(self) -> None:
        """Mechanisms that somebody makes up are one label."""
        talk = self.begin()
        for i in range(300):
            talk.client(handshake(b"M%d" % i, 1, i), authenticate(i))
            talk.broker(granted(1, i), authenticated(i))
        self.assertEqual({("other", "ok"): 300}, talk.metrics.sasl)

    def test_again(self) -> None:
        """In mid-stream, with requests outstanding before, between and behind, and ids out of order (KIP-368)."""
        last = 2**31 - 1
        for version in (1, 2):
            asked = heartbeat(5) + heartbeat(6) + handshake(b"PLAIN", 1, last - 1)
            steps = [("client", heartbeat(4)), ("broker", beat(4)), ("client", asked)]
            steps += [("broker", beat(5)[:9]), ("broker", beat(5)[9:] + beat(6) + granted(1, last - 1))]
            steps += [("client", authenticate(last, version) + heartbeat(7))]
            steps += [("broker", authenticated(last, version) + beat(7))]
            talk = self.exchange_all_ways(steps)
            self.assertEqual(([], {}), (talk.outstanding, talk.metrics.protocol_errors))
            self.assertEqual({("PLAIN", "ok"): 1}, talk.metrics.sasl)


class BoundTests(TalkTestCase):
    """Only so much is outstanding."""

    def test_in_flight(self) -> None:
        """10,000 requests at once: as many go on as may, the others when there is room, all of them in order."""
        talk = self.begin()
        data = b"".join(map(heartbeat, range(10_000)))
        size = len(heartbeat())
        self.assertEqual(data[: 1024 * size], talk.client(data))
        self.assertEqual([("in_flight", None)], talk.told("pause"))
        for i in range(10_000):
            self.assertLessEqual(len(talk.outstanding), 1024)
            self.assertEqual(i, talk.outstanding[0])
            self.assertEqual(beat(i), talk.broker(beat(i)))
            talk.turn()
        self.assertEqual((data, [], "", 0), (talk.to_broker, talk.outstanding, talk.held, talk.kept))
        self.assertEqual(len(talk.told("pause")), len(talk.told("resume")))
        # not for every single answer
        self.assertLess(len(talk.told("pause")), 25)
        self.assertEqual({}, talk.metrics.protocol_errors)

    def test_one(self) -> None:
        """One at a time, in pieces that end anywhere."""
        talk = self.begin(max_in_flight=1)
        data = b"".join(map(heartbeat, range(30)))
        rng = random.Random(7)
        while data:
            size = rng.randrange(1, 60)
            talk.client(data[:size])
            data = data[size:]
        for i in range(30):
            self.assertEqual([i], talk.outstanding)
            talk.broker(beat(i))
            talk.turn()
        self.assertEqual(b"".join(map(heartbeat, range(30))), talk.to_broker)

    def test_given_up(self) -> None:
        """When nobody can read the answers any more, nobody waits for them: all that was kept goes on."""
        data = b"".join(map(heartbeat, range(20)))
        for bad in (beat(77), b"\xff" * 4, b"HTTP/1.1 400"):
            talk = self.begin(max_in_flight=4)
            talk.client(data, data)
            self.assertEqual("in_flight", talk.held)
            talk.broker(beat(0) + bad)
            talk.turn()
            talk.client(data)
            self.assertEqual((data * 3, beat(0) + bad, ""), (talk.to_broker, talk.to_client, talk.held))


class DrainTests(TalkTestCase):
    """Nothing more is to be asked."""

    def test_drained(self) -> None:
        """What was asked is answered; no further request goes on, not even at the client's end."""
        talk = self.begin()
        talk.client(heartbeat(1) + heartbeat(2))
        talk.talk.drain()
        self.assertEqual(b"", talk.client(heartbeat(3)))
        talk.broker(beat(1))
        self.assertEqual([], talk.told("drained"))
        talk.broker(beat(2)[:9])
        self.assertEqual([], talk.told("drained"))
        talk.broker(beat(2)[9:])
        self.assertEqual([()], talk.told("drained")[:1])
        self.assertEqual(b"", talk.requests.end())

    def test_half_asked(self) -> None:
        """A request of which the broker has the beginning goes on to its end."""
        for asked in (produce(1, records=900), produce(1, 0, records=900)):
            talk = self.begin()
            talk.client(asked[:100])
            talk.talk.drain()
            self.assertEqual(asked[100:], talk.client(asked[100:] + heartbeat(2)))
            talk.broker(answer(0, 9, 1))
            self.assertNotEqual([], talk.told("drained"))

    def test_login(self) -> None:
        """Raw SASL tokens pass."""
        talk = self.begin()
        talk.client(handshake())
        talk.broker(granted())
        talk.talk.drain()
        self.assertEqual(framed(b"\0u\0p"), talk.client(framed(b"\0u\0p") + heartbeat(2)))
        self.assertEqual(framed(b""), talk.broker(framed(b"")))
        self.assertNotEqual([], talk.told("drained"))
