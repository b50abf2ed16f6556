# -*- test-case-name: tests.protocols.kafka.test_session_time -*-
"""
Tests for L{lproxy.protocols.kafka.session}, as time goes by: frames and connections that stand still, clients that are
not read for a while, and the end of the proxy.

Over 300 lines: all of it is what one clock does to one connection.
"""

from __future__ import annotations

from random import Random

from lproxy.protocols.kafka.filter import Answer
from lproxy.protocols.kafka.session import LULL
from tests.protocols.kafka.scene import (
    KafkaTestCase,
    answer,
    beat,
    framed,
    heartbeat,
    list_groups,
    produce,
)
from tests.protocols.kafka.test_filter import NO, Told, refused

HTTP = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
#: an answer of 100,000 bytes to a Fetch
LARGE = answer(1, 12, 7, bytes(100_000))


class StillTests(KafkaTestCase):
    """Frames that have begun have to go on, and connections have to be used."""

    table = {"frame_progress": "20s", "idle": "100s"}

    def test_client_stalls(self) -> None:
        """A client that goes silent within a request is closed and counted, in its header, or behind it."""
        for cut in (3, 9, 25):
            self.start()
            client = self.client(heartbeat(1), produce(2)[:cut])
            self.say(self.broker, beat(1))
            self.wait(15)
            self.assertEqual("", client.ended)
            self.wait(20)
            self.assert_over(client, "reset", flags="PE")
            self.assertEqual({"stalled": 1}, self.metrics.protocol_errors)
            self.warned("the client began a frame and does not go on with it (kafka.frame_progress): closed")

    def test_first_frame_stalls(self) -> None:
        """Also in its first, before there is any broker."""
        client = self.client(heartbeat()[:9])
        self.wait(35)
        self.assert_over(client, "reset", flags="PE", upstream=None)
        self.assertEqual({"stalled": 1}, self.metrics.protocol_errors)

    def test_slow_client(self) -> None:
        """One that sends a byte now and then is slow, and goes on."""
        client = self.client(produce(1)[:9])
        for byte in produce(1)[9:]:
            self.wait(12)
            self.say(client, bytes([byte]))
        self.assertEqual((produce(1), {}), (self.broker.heard, self.metrics.protocol_errors))

    def test_broker_stalls(self) -> None:
        """A broker that goes silent within an answer, too, whatever the client says meanwhile."""
        client = self.client(heartbeat(1))
        self.say(self.broker, beat(1)[:9])
        for i in range(7):
            self.wait(5)
            if not client.ended:
                self.say(client, heartbeat(i + 2))
        self.assert_over(client, "reset", flags="PE")
        self.assertEqual({"upstream_stalled": 1}, self.metrics.protocol_errors)

    def test_slow_reader(self) -> None:
        """A client that does not take its answer stalls nobody: its broker waits for it."""
        client = self.client(heartbeat(7)[:4] + b"\0\1\0\x0c\0\0\0\7" + heartbeat(7)[12:])
        client.room = 10
        self.say(self.broker, LARGE[:90_000])
        self.wait(60)
        self.assertEqual(({}, ""), (self.metrics.protocol_errors, client.ended))
        client.room = None
        self.say(self.broker, LARGE[90_000:])
        self.assertEqual(LARGE, client.heard)

    def test_slow_broker(self) -> None:
        """Nor does a broker that does not take a request."""
        client = self.client(heartbeat(1))
        self.broker.room = 10
        self.say(client, produce(2, size=300_000)[:250_000])
        self.wait(60)
        self.assertEqual(({}, ""), (self.metrics.protocol_errors, client.ended))

    def test_quota(self) -> None:
        """Nor a client that is not read for its quota, though a frame of its has begun."""
        self.start(quotas={"shop": {"requests": 1}}, **self.table)
        client = self.client(*map(heartbeat, range(1, 62)), heartbeat(62)[:30])
        self.wait(40)
        self.assertEqual({}, self.metrics.protocol_errors)
        self.assertEqual("", client.ended)

    def test_in_flight(self) -> None:
        """Nor one that waits for answers."""
        self.start(max_in_flight=1, **self.table)
        client = self.client(heartbeat(1), heartbeat(2)[:30])
        self.wait(60)
        self.assertEqual(({}, ""), (self.metrics.protocol_errors, client.ended))

    def test_slow_acquisition(self) -> None:
        """Nor one that waits for a broker."""
        self.connector.mode = "wait"
        client = self.client(heartbeat(1)[:30])
        self.wait(60)
        self.assertEqual(({}, ""), (self.metrics.protocol_errors, client.ended))

    def test_long_wait(self) -> None:
        """A request may be unanswered for longer than that: groups are joined in minutes."""
        client = self.client(heartbeat(1))
        self.wait(60)
        self.say(self.broker, beat(1))
        self.assertEqual(beat(1), client.heard)

    def test_idle(self) -> None:
        """A connection without a byte is closed after its time, with a word before or without, and joined or not."""
        for said in (b"", heartbeat()):
            self.start()
            client = self.client(said)
            self.wait(95)
            self.assertEqual("", client.ended)
            self.wait(15)
            self.assert_over(client, "reset", flags="IT")
            self.assertEqual(({}, 1), (self.metrics.protocol_errors, self.metrics.idle_closes))
            if said:
                self.warned("closed: not a byte for 100 s (kafka.idle), with 1 in flight, the first Heartbeat")
            self.assertEqual([], self.proxy.warnings)

    def test_not_idle(self) -> None:
        """Any byte will do, in either direction."""
        client = self.client(heartbeat(1), heartbeat(2))
        self.wait(80)
        self.say(self.broker, beat(1))
        self.wait(80)
        self.say(client, heartbeat(3))
        self.wait(80)
        self.assertEqual("", client.ended)

    def test_opaque(self) -> None:
        """What nobody reads has no frames to stall; it may be idle."""
        client = self.client(HTTP)
        self.wait(90)
        self.assertEqual("", client.ended)
        self.wait(20)
        self.assert_over(client, "reset")


class PausedTests(KafkaTestCase):
    """Too many requests are read later, never refused."""

    def test_in_flight(self) -> None:
        """Ten thousand pipelined requests are all answered, in order, a bounded number at a time."""
        self.start(max_in_flight=50)
        many = range(2_000)
        client = self.client(*map(heartbeat, many))
        answered = most = 0
        for _ in many:
            heard = len(self.broker.heard) // len(heartbeat())
            most = max(most, self.metrics.in_flight())
            self.say(self.broker, *map(beat, range(answered, heard)))
            answered = heard
        self.assertEqual((b"".join(map(heartbeat, many)), 50), (self.broker.heard, most))
        self.assertEqual(b"".join(map(beat, many)), client.heard)
        self.assertEqual(("talking", False), (self.state, self.session._relay.to_upstream.held))

    def test_in_flight_before_the_broker(self) -> None:
        """Also of those that came before there was a broker."""
        self.start(max_in_flight=2)
        self.connector.mode = "wait"
        client = self.client(*map(heartbeat, range(5)))
        self.connector.accept()
        self.settle()
        self.assertEqual(heartbeat(0) + heartbeat(1), self.broker.heard)
        for i in range(5):
            self.say(self.broker, beat(i))
        self.assertEqual(b"".join(map(beat, range(5))), client.heard)

    def test_quota(self) -> None:
        """Requests over a client's quota go on in time; the seconds are counted, and a login is shown as paused."""
        self.start(quotas={"shop": {"requests": 2}})
        client = self.client(*map(heartbeat, range(6)))
        self.assertEqual("paused", self.state)
        passed = [len(self.broker.heard) // len(heartbeat())]
        for _ in range(20):
            self.settle(0.1)
            passed.append(len(self.broker.heard) // len(heartbeat()))
        self.assertEqual(b"".join(map(heartbeat, range(6))), self.broker.heard)
        self.assertLessEqual(passed[0], 3)
        self.assertLessEqual(passed[9], 5)
        self.assertGreater(self.metrics.paused["quota"], 1.0)
        client.hang_up()

    def test_quota_before_the_broker(self) -> None:
        """Also where the pause is over before there is a broker, and what was kept then goes on."""
        self.start(quotas={"shop": {"requests": 1}})
        self.connector.mode = "wait"
        self.client(*map(heartbeat, range(4)))
        self.wait(10)
        self.connector.accept()
        self.wait(10)
        self.assertEqual(b"".join(map(heartbeat, range(4))), self.broker.heard)

    def test_quota_of_one(self) -> None:
        """One client's quota is nobody else's."""
        self.start(quotas={"other": {"requests": 1}})
        self.client(*map(heartbeat, range(50)))
        self.assertEqual(b"".join(map(heartbeat, range(50))), self.broker.heard)

    def test_gone_while_paused(self) -> None:
        """Who goes while it is paused leaves no timer, and the seconds are counted."""
        self.start(quotas={"shop": {"requests": 1}})
        client = self.client(*map(heartbeat, range(60)))
        self.wait(3)
        client.reset()
        self.settle()
        self.assert_over(client)
        self.assertGreaterEqual(self.metrics.paused["quota"], 2.0)

    def test_eof_while_paused(self) -> None:
        """Who hangs up while it is paused has everything passed on, later."""
        for table in ({"quotas": {"shop": {"requests": 1}}}, {"max_in_flight": 2}):
            self.start(**table)
            client = self.client(*map(heartbeat, range(7)))
            client.hang_up()
            for i in range(7):
                self.wait(3)
                self.say(self.broker, beat(i))
            self.assertEqual((b"".join(map(heartbeat, range(7))), "eof"), (self.broker.heard, self.broker.ended))
            self.assertEqual(b"".join(map(beat, range(7))), client.heard)

    def test_judged_after_a_pause(self) -> None:
        """What was kept meanwhile is judged as all else, though the client has hung up and the broker answers."""
        self.start(max_in_flight=2, deny=["Produce"])
        client = self.client(heartbeat(1), heartbeat(2), heartbeat(3), produce(4))
        client.hang_up()
        self.settle()
        self.say(self.broker, beat(1), beat(2))
        self.assertEqual(heartbeat(1) + heartbeat(2) + heartbeat(3), self.broker.heard)
        self.assertEqual(beat(1) + beat(2), client.heard)
        self.assert_over(client, flags="PE")

    def test_both(self) -> None:
        """A quota and too many requests at once: each for itself, and nothing is lost."""
        self.start(max_in_flight=2, quotas={"shop": {"requests": 3}})
        client = self.client(*map(heartbeat, range(20)))
        for i in range(20):
            self.wait(1)
            self.say(self.broker, beat(i))
        self.assertEqual(b"".join(map(heartbeat, range(20))), self.broker.heard)
        self.assertEqual(b"".join(map(beat, range(20))), client.heard)


class DrainTests(KafkaTestCase):
    """
    Who is asked to finish does: all that was asked is answered, and what is on its way; once half of the time is over
    nothing more is.
    """

    def drain(self) -> None:
        """Until nothing more is read."""
        self.session.drain()
        self.wait(self.proxy.runtime.timeouts.drain / 2 + LULL)

    def test_on_its_way(self) -> None:
        """
        A client that asks now and then loses nothing: what it says before it can know is answered, and the end comes
        behind that response, or after a while in which it has said nothing.
        """
        client = self.client(heartbeat(1))
        self.say(self.broker, beat(1))
        self.session.drain()
        self.wait(LULL / 2)
        self.say(client, heartbeat(2))
        self.wait(LULL)
        self.assertEqual((heartbeat(1) + heartbeat(2), ""), (self.broker.heard, client.ended))
        self.say(self.broker, beat(2))
        self.assertEqual(beat(1) + beat(2), client.heard)
        self.assert_over(client, flags="")

    def test_said_meanwhile(self) -> None:
        """Behind a response it does not end where more was said by then, in part or whole."""
        for cut in (9, len(heartbeat(3))):
            client = self.client(heartbeat(1))
            self.session.drain()
            client.say(heartbeat(3)[:cut])
            self.say(self.broker, beat(1))
            self.assertEqual("", client.ended)
            self.say(client, heartbeat(3)[cut:])
            self.say(self.broker, beat(3))
            self.assertEqual(beat(1) + beat(3), client.heard)
            self.assert_over(client, flags="")
            self.assertEqual({}, self.incomplete)

    def test_idle(self) -> None:
        """An idle connection closes after a while, with a broker or without."""
        client = self.client()
        self.session.drain()
        self.wait(LULL / 2)
        self.assertEqual("", client.ended)
        self.drain()
        self.assert_over(client, flags="")
        client = self.client(heartbeat())
        self.say(self.broker, beat())
        self.drain()
        self.assert_over(client, flags="", errno="")
        self.assertEqual(beat(), client.heard)

    def test_superseded(self) -> None:
        """Where another configuration goes on, none closes; when the proxy ends then, they do."""
        object.__setattr__(self.proxy.runtime, "superseded", lambda: True)
        client = self.client(heartbeat(1))
        self.drain()
        self.say(self.broker, beat(1))
        self.say(client, heartbeat(2))
        self.say(self.broker, beat(2))
        self.assertEqual((beat(1) + beat(2), ""), (client.heard, client.ended))
        object.__setattr__(self.proxy.runtime, "superseded", lambda: False)
        self.drain()
        self.assert_over(client, flags="", errno="")

    def test_answered_first(self) -> None:
        """One in flight is answered; what comes after it is not passed on."""
        client = self.client(heartbeat(1), heartbeat(2))
        self.drain()
        self.say(client, heartbeat(3))
        self.assertEqual(heartbeat(1) + heartbeat(2), self.broker.heard)
        self.say(self.broker, beat(1))
        self.assertEqual("", client.ended)
        self.say(self.broker, beat(2))
        self.assertEqual(beat(1) + beat(2), client.heard)
        self.assert_over(client, flags="")
        self.assertEqual({}, self.incomplete)

    def test_within_an_answer(self) -> None:
        """In the middle of an answer, its rest comes."""
        client = self.client(heartbeat(1))
        self.say(self.broker, beat(1)[:9])
        self.drain()
        self.assertEqual("", client.ended)
        self.say(self.broker, beat(1)[9:])
        self.assertEqual(beat(1), client.heard)
        self.assert_over(client)

    def test_within_a_request(self) -> None:
        """In the middle of a request that the broker has begun to read, its rest goes on and is answered."""
        said = produce(1, size=1000)
        client = self.client(said[:500])
        self.drain()
        self.say(client, said[500:], heartbeat(2))
        self.assertEqual(said, self.broker.heard)
        self.say(self.broker, answer(0, 9, 1, bytes(6)))
        self.assert_over(client)

    def test_within_a_silent_request(self) -> None:
        """Also where nothing answers it; then all is done, and the connection closes by itself."""
        said = produce(1, acks=0, size=1000)
        client = self.client(said[:500])
        self.drain()
        self.say(client, said[500:])
        self.wait(10)
        self.assertEqual(said, self.broker.heard)
        self.assert_over(client)

    def test_within_a_header(self) -> None:
        """A request of which nothing has gone on is not passed on: the client is closed, and asks somebody else."""
        client = self.client(heartbeat(1))
        self.say(self.broker, beat(1))
        self.say(client, heartbeat(2)[:9])
        self.drain()
        self.assert_over(client)
        self.assertEqual(heartbeat(1), self.broker.heard)

    def test_while_acquiring(self) -> None:
        """What waits for a broker is asked and answered, silent requests included."""
        for said, heard in ((heartbeat(1), beat(1)), (produce(1, acks=0), b"")):
            self.start()
            self.connector.mode = "wait"
            client = self.client(said)
            self.drain()
            self.assertEqual("", client.ended)
            self.connector.accept()
            self.settle()
            self.say(self.broker, heard)
            self.wait(10)
            self.assertEqual((said, heard), (self.broker.heard, client.heard))
            self.assert_over(client)

    def test_while_paused(self) -> None:
        """What is kept for a quota, or for too many before it, is not passed on any more."""
        for table in ({"quotas": {"shop": {"requests": 1}}}, {"max_in_flight": 1}):
            self.start(**table)
            client = self.client(heartbeat(1))
            self.say(client, *map(heartbeat, range(2, 90)))
            self.drain()
            passed = self.broker.heard
            for i in range(len(passed) // len(heartbeat())):
                self.say(self.broker, beat(i + 1))
            self.wait(5)
            self.assertEqual(passed, self.broker.heard)
            self.assert_over(client)

    def test_not_kept(self) -> None:
        """A client that goes on asking is not read: what it says would only be kept."""
        client = self.client(heartbeat(1))
        self.drain()
        self.say(client, produce(2, size=1_000_000))
        self.assertGreater(client.unread, 900_000)

    def test_hung_up_while_draining(self) -> None:
        """Nor is what it said then passed on when it hangs up."""
        client = self.client(heartbeat(1), produce(2)[:30])
        self.drain()
        client.say(produce(2)[30:] + heartbeat(3))
        client.hang_up()
        self.settle()
        self.assertEqual(heartbeat(1) + produce(2), self.broker.heard)
        self.say(self.broker, beat(1))
        self.say(self.broker, answer(0, 9, 2, bytes(6)))
        self.assert_over(client)

    def test_opaque(self) -> None:
        """What nobody can read is left alone."""
        client = self.client(HTTP)
        self.drain()
        self.wait(60)
        self.say(client, b"more")
        self.assertEqual((HTTP + b"more", ""), (self.broker.heard, client.ended))

    def test_twice(self) -> None:
        """Asked twice, it is the same."""
        client = self.client(heartbeat(1))
        self.session.drain()
        self.drain()
        self.say(self.broker, beat(1))
        self.assert_over(client)

    def test_slow_reader(self) -> None:
        """A client that takes its last answer slowly gets all of it."""
        client = self.client(heartbeat(1))
        client.room = 3
        self.drain()
        self.say(self.broker, beat(1))
        self.assertEqual("", client.ended)
        client.room = None
        self.settle()
        self.assertEqual(beat(1), client.heard)
        self.assert_over(client)


class MixtureTests(KafkaTestCase):
    """All of it at once, in any order that chance makes."""

    def exchange(self, random: Random, i: int) -> tuple[bytes, bytes | None, bytes]:
        """A request, what the broker answers to it, C{None} where it never hears of it, and what the client hears."""
        group = framed(i.to_bytes(4, "big") + b"g" * random.randrange(2000))
        stored = answer(0, 9, i, bytes(random.randrange(3000)))
        kinds: list[tuple[bytes, bytes | None, bytes]] = [
            (list_groups(i), group, group),
            (heartbeat(i), None, refused(i)),
            (produce(i, acks=0, size=random.randrange(5000)), b"", b""),
            (produce(i, size=random.randrange(500)), stored, stored),
        ]
        return random.choice(kinds)

    def run_once(self, random: Random) -> None:
        """A client that asks at its own pace, a filter that answers some, a broker that answers late."""
        Told.all.clear()
        read = random.choice(([], ["Produce", "Heartbeat"]))
        self.start(
            max_in_flight=random.choice((1, 2, 5, 1024)),
            quotas={"shop": {"requests": 7}} if random.random() < 0.5 else {},
            filters={"tests.protocols.kafka.test_filter:Told": {"requests": read}},
            on_invalid="close",
        )
        Told.all[0].decide[12] = Answer(NO)
        talk = [self.exchange(random, i) for i in range(random.randrange(1, 30))]
        said = b"".join(one[0] for one in talk)
        replies = [(one[0], one[1]) for one in talk if one[1] is not None]
        wanted = b"".join(one[0] for one in replies), b"".join(one[2] for one in talk)
        self.connector.mode = random.choice(("accept", "wait"))
        client = self.client()
        heard = b""
        for _ in range(2000):
            step = random.choice((1, 20, 300, 4000))
            client.say(said[:step])
            said = said[step:]
            client.room = None if random.random() < 0.5 else random.randrange(200)
            self.settle(random.choice((0.0, 0.0, 0.3)))
            if self.connector.waiting and random.random() < 0.2:
                self.connector.accept()
            heard = self.broker.heard if self.connector.upstreams else b""
            while replies and random.random() < 0.5 and self.reached(heard, wanted[0], replies):
                self.broker.say(replies.pop(0)[1] or b"")
            if not said and (heard, client.heard) == wanted:
                break
        self.assertEqual(wanted, (heard, client.heard))
        self.assertEqual(({}, {}, 0), (self.metrics.protocol_errors, self.incomplete, self.metrics.in_flight()))

    def reached(self, heard: bytes, wanted: bytes, replies: list[tuple[bytes, bytes | None]]) -> bool:
        """Whether the broker has heard the first of those that it has not answered."""
        return len(heard) >= len(wanted) - sum(len(said) for said, _ in replies[1:])

    def test_in_order(self) -> None:
        """Every request that passes arrives, every answer is heard, all in the order of the requests."""
        for seed in range(40):
            self.run_once(Random(seed))
            self.tearDown()
        self.start()
