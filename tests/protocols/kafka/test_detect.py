# -*- test-case-name: tests.protocols.kafka.test_detect -*-
"""
Tests for L{lproxy.protocols.kafka.detect}. Its precision beside others is in tests.protocols.test_corpus.
"""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.kafka.codec.apis import APIS
from lproxy.protocols.kafka.detect import detect, detector
from lproxy.testing.detectors import LIMIT, DetectorContract
from lproxy.verdict import Match, NeedMore, NoMatch, Verdict
from tests.protocols.kafka.vectors import CLIENTS, NO, UNDECIDED, YES, packed


class ContractTests(DetectorContract, SynchronousTestCase):
    """What every detector promises."""

    detector = staticmethod(detect)
    matches = tuple(packed(text) for text in (CLIENTS | YES).values())
    others = tuple(packed(text) for text, _ in NO.values())


class VectorTests(SynchronousTestCase):
    """What is Kafka and what is not, and when it is clear."""

    def decided(self, data: bytes) -> tuple[Verdict, int]:
        """The verdict on C{data} as it comes byte by byte, and how many of them it took."""
        for end in range(len(data) + 1):
            verdict = detect(data[:end])
            if not isinstance(verdict, NeedMore):
                return verdict, end
        return detect(data), -1

    def test_clients(self) -> None:
        """Every client's first request is known by the end of its header, or nearly."""
        for name, text in (CLIENTS | YES).items():
            with self.subTest(client=name):
                data = packed(text)
                verdict, end = self.decided(data)
                self.assertIsInstance(verdict, Match)
                self.assertLessEqual(end, 42)
                self.assertEqual(verdict, detect(data + b"\xff" * 50))

    def test_variant(self) -> None:
        """The verdict names the request, for logs."""
        self.assertEqual(Match("ApiVersions v3"), detect(packed(CLIENTS["kcat 1.7"])))
        self.assertEqual(14, self.decided(packed(YES["ApiVersions v0, null client id"]))[1])

    def test_others(self) -> None:
        """Whatever else there is is let go by the byte that tells it, whatever follows."""
        for name, (text, most) in NO.items():
            with self.subTest(protocol=name):
                data = packed(text)
                verdict, end = self.decided(data)
                self.assertEqual(NoMatch(), verdict)
                self.assertLessEqual(end, most)
                self.assertEqual(NoMatch(), detect(data + b"\0" * 50))

    def test_undecided(self) -> None:
        """A few bytes that may yet become anything are waited upon."""
        for name, text in UNDECIDED.items():
            self.assertIsInstance(detect(packed(text)), NeedMore, name)

    def test_every_version(self) -> None:
        """Of every API in every version, and some that are yet to come, a first request is taken for one."""
        for api in APIS.values():
            for version in range(api.newest + 5):
                body = b"\0" * 30
                if api.key == 18:
                    body = b"" if version < 3 else b"\0\1\1\0"
                elif api.key == 17:
                    body = b"\0\5PLAIN"
                elif api.key == 0:
                    lead = b"" if version < 3 else b"\xff\xff" if version < 9 else b"\0\0"
                    body = lead + b"\xff\xff\0\0\0\1\0\0\0\1" + b"\0" * 30
                elif api.is_flexible(version):
                    body = b"\0" + body
                elif (api.key, version) == (3, 0):
                    body = b"\0\0\0\0"
                head = bytes((0, api.key, 0, version, 0, 0, 0, 1, 0, 1)) + b"a"
                if (api.key, version) == (7, 0):
                    head, body = head[:8], b"\0\0\0\1"
                frame = (len(head) + len(body)).to_bytes(4) + head + body
                self.assertIsInstance(detect(frame), Match, (api.name, version))

    def test_extra(self) -> None:
        """A vendor's key is Kafka's where the configuration says so, and nowhere else."""
        data = packed('0000000b 2710 0007 00000001 0001 "a"')
        self.assertEqual(NoMatch(), detect(data))
        ours = detector((10_000,))
        self.assertEqual(Match("key 10000 v7"), ours(data))
        self.assertEqual(NoMatch(), ours(packed("0000000b 2711 0007")))
        for end in range(len(data)):
            self.assertIsInstance(ours(data[:end]), NeedMore)
        self.assertEqual(Match("ApiVersions v3"), ours(packed(CLIENTS["kcat 1.7"])))

    def test_client_id_in_pieces(self) -> None:
        """A character of more than one byte may come in pieces, and may prove to be none."""
        data = packed('00000011 0012 0000 00000001 0007 "größe"')
        for end in range(len(data)):
            self.assertIsInstance(detect(data[:end]), NeedMore, end)
        self.assertEqual(NoMatch(), detect(data[:16] + b"\xc3\x28"))

    def test_longest(self) -> None:
        """The longest header is known within what a detector is shown, and nothing beyond that is asked for."""
        name = packed("0400") + b"x" * 1_024
        for version, lead in ((3, (900).to_bytes(2)), (9, packed("00 8507"))):
            body = lead + b"t" * 900 + packed("ffff 00007530")
            data = packed("00010000 0000") + version.to_bytes(2) + packed("00000001") + name + body
            self.assertLessEqual(len(data), LIMIT)
            for end in range(0, len(data), 13):
                verdict = detect(data[:end])
                assert isinstance(verdict, NeedMore)
                self.assertTrue(end < verdict.at_least <= len(data), end)
            self.assertIsInstance(detect(data), Match)

    def test_random(self) -> None:
        """Of random bytes, alone and behind a plausible size, none is taken for Kafka."""
        random = Random(17)
        for n in range(30_000):
            data = random.randbytes(40)
            if n % 2:
                data = random.randrange(8, 5000).to_bytes(4) + data
            self.assertNotIsInstance(detect(data), Match)

    def test_final(self) -> None:
        """A verdict on headers that are nearly right holds for every longer prefix."""
        random = Random(18)
        for _ in range(3_000):
            size = random.choice((12, 20, 40, 5000, 2 << 20))
            head = size.to_bytes(4) + bytes((0, random.randrange(96), 0, random.randrange(14), 0, 0, 0, 1))
            name = random.choice((b"\xff\xff", b"\0\0", b"\0\1a", b"\0\4rd\xc3\xa4", b"\4\0" + b"x" * 1024))
            data = (
                head
                + name
                + random.choice((b"", b"\0"))
                + random.choice((b"", b"\xff\xff", b"\0"))
                + random.randbytes(12)
            )
            known: Verdict | None = None
            for end in range(0, len(data) + 1, 1 if len(data) < 100 else 37):
                verdict = detect(data[:end])
                if known is not None:
                    self.assertEqual(known, verdict)
                elif not isinstance(verdict, NeedMore):
                    known = verdict
