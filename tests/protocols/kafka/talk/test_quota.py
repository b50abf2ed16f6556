# -*- test-case-name: tests.protocols.kafka.talk.test_quota -*-
"""
Tests for L{lproxy.protocols.kafka.talk.quota}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.kafka.settings import Quota
from lproxy.protocols.kafka.talk.counters import ClientCounter
from lproxy.protocols.kafka.talk.quota import ANYBODY, CLIENTS, Bucket, Charge, Quotas
from tests.protocols.kafka.talk.scripted import Talk, beat, heartbeat, produce


class BucketTests(SynchronousTestCase):
    """Bytes and requests."""

    def test_both(self) -> None:
        """Whichever is over, and by the longer time; each counts whatever the other says."""
        bucket = Bucket(Quota(bytes=100, requests=2), 0.0)
        self.assertEqual(0.0, bucket.take(50, 0.0))
        self.assertAlmostEqual(1.0, bucket.take(150, 0.0))
        self.assertAlmostEqual(1.0, bucket.take(0, 0.0))
        self.assertAlmostEqual(1.5, bucket.take(50, 0.0))
        self.assertAlmostEqual(1.5, bucket.take(0, 0.0))

    def test_one(self) -> None:
        """Only one of them; or neither, which is no quota."""
        self.assertEqual(0.0, sum(Bucket(Quota(requests=100), 0.0).take(10**9, 0.0) for _ in range(100)))
        bucket = Bucket(Quota(bytes=100), 0.0)
        self.assertEqual(0.0, sum(bucket.take(1, 0.0) for _ in range(100)))
        self.assertEqual(0.0, Bucket(Quota(), 0.0).take(10**9, 0.0))


class QuotasTests(SynchronousTestCase):
    """Whose quota it is."""

    def test_named(self) -> None:
        """One bucket for each client id that is named, over all its connections; none for others."""
        quotas = Quotas({"a": Quota(requests=1), "": Quota(requests=2)})
        self.assertIsNotNone(quotas.of("a", 0.0))
        self.assertIs(quotas.of("a", 0.0), quotas.of("a", 9.0))
        self.assertIsNot(quotas.of("a", 0.0), quotas.of("", 0.0))
        self.assertIsNone(quotas.of("b", 0.0))
        # null and empty are the same nobody
        self.assertIs(quotas.of("", 0.0), quotas.of(None, 0.0))
        self.assertIsNone(Quotas({}).of(None, 0.0))

    def test_anybody(self) -> None:
        """All others by themselves, who has its own quota not among them."""
        quotas = Quotas({"a": Quota(requests=5), ANYBODY: Quota(requests=1)})
        own, b, c = (quotas.of(name, 0.0) for name in ("a", "b", "c"))
        assert own is not None and b is not None and c is not None
        self.assertEqual([0.0] * 5, [own.take(1, 0.0) for _ in range(5)])
        self.assertEqual((0.0, 1.0, 0.0), (b.take(1, 0.0), b.take(1, 0.0), c.take(1, 0.0)))
        self.assertIsNotNone(quotas.of(None, 0.0))

    def test_bounded(self) -> None:
        """Who makes up client ids shares one bucket in the end, and who is named or came before has its own still."""
        quotas = Quotas({"named": Quota(requests=5), ANYBODY: Quota(requests=1)})
        first = quotas.of("first", 0.0)
        made_up = {id(quotas.of(f"client {i}", 0.0)) for i in range(5000)}
        self.assertLessEqual(len(made_up), CLIENTS + 3)
        self.assertLessEqual(len(quotas._buckets), CLIENTS + 4)
        self.assertIs(quotas.of("x", 0.0), quotas.of("y", 0.0))
        self.assertIs(first, quotas.of("first", 0.0))
        named = quotas.of("named", 0.0)
        assert named is not None
        self.assertEqual([0.0] * 5, [named.take(1, 0.0) for _ in range(5)])
        self.assertIsNot(named, quotas.of("z", 0.0))


class TalkTests(SynchronousTestCase):
    """What a quota does to a conversation."""

    def test_later(self) -> None:
        """A client over its quota is read later: the request that was too much has passed, and nothing is lost."""
        talk = Talk(quotas={"shop": Quota(requests=10)})
        data = b"".join(map(heartbeat, range(30)))
        size = len(heartbeat())
        self.assertEqual(data[: 11 * size], talk.client(data))
        ((reason, seconds),) = talk.told("pause")
        self.assertEqual("quota", reason)
        self.assertAlmostEqual(0.1, seconds)
        talk.turn(0.09)
        self.assertEqual(11 * size, len(talk.to_broker))
        talk.turn(0.02)
        self.assertGreater(len(talk.to_broker), 11 * size)
        for _ in range(40):
            talk.turn(0.1)
        self.assertEqual((data, ""), (talk.to_broker, talk.held))

    def test_debt(self) -> None:
        """A request of many seconds' bytes goes on whole, at once; what follows waits for as long as it was worth."""
        talk = Talk(quotas={"shop": Quota(bytes=1000)})
        large = produce(1, records=9_980)
        self.assertEqual(large, talk.client(large + heartbeat(2)))
        ((_, seconds),) = talk.told("pause")
        self.assertAlmostEqual(len(large) / 1000 - 1, seconds)
        talk.turn(seconds + 0.01)
        self.assertEqual(large + heartbeat(2), talk.to_broker)

    def test_and_in_flight(self) -> None:
        """Both at once: the later of the two lets it go on."""
        talk = Talk(quotas={"*": Quota(requests=2)}, max_in_flight=3)
        data = b"".join(map(heartbeat, range(12)))
        talk.client(data)
        for i in range(12):
            for _ in range(5):
                talk.turn(0.25)
            self.assertLessEqual(len(talk.outstanding), 3)
            talk.broker(beat(i))
        self.assertEqual((data, []), (talk.to_broker, talk.outstanding))

    def test_of_another(self) -> None:
        """Who calls itself something else has its own."""
        talk = Talk(quotas={"shop": Quota(requests=1)})
        data = heartbeat(1, client=None) * 3 + heartbeat(1, client=b"x") * 3 + heartbeat(1)
        self.assertEqual(data, talk.client(data))
        self.assertEqual([], talk.told("pause"))
        self.assertEqual("shop", talk.talk.context.client_id)
        talk.client(heartbeat())
        self.assertEqual(1, len(talk.told("pause")))


class ChargeTests(SynchronousTestCase):
    """Requests are counted by client id, with a quota and without."""

    def test_counted(self) -> None:
        """Its quota is as it was."""
        for bucket, seconds in ((None, 0.0), (Bucket(Quota(bytes=100), 0.0), 1.0)):
            counter = ClientCounter()
            charge = Charge(counter, bucket)
            self.assertEqual(seconds, charge.take(200, 0.0))
            self.assertEqual((1, 200), (counter.requests, counter.bytes))
