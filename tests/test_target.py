# -*- test-case-name: tests.test_target -*-
"""
Tests for L{lproxy.target}.
"""

from __future__ import annotations

from dataclasses import FrozenInstanceError

from twisted.trial.unittest import SynchronousTestCase

from lproxy.target import Authority, Endpoint, Member, OriginalDst, ServiceName, Split, join_host_port, split_host_port


class KeyTests(SynchronousTestCase):
    """Targets as the keys of locks and caches."""

    def test_equal(self) -> None:
        """Targets are one key if type and content are the same, and only then."""
        kinds = (Authority, OriginalDst, Endpoint)
        for kind in kinds:
            self.assertEqual(kind("a", 80), kind("a", 80))
            self.assertEqual(hash(kind("a", 80)), hash(kind("a", 80)))
            self.assertNotEqual(kind("a", 80), kind("a", 81))
        self.assertEqual(4, len({kind("a", 80) for kind in kinds} | {ServiceName("a:80")}))
        self.assertEqual(3, len({Member("s", "a", 80), Member("s", "a", 80), Member("t", "a", 80), Authority("a", 80)}))
        self.assertNotEqual(Authority("a", 80), "a:80")

    def test_split(self) -> None:
        """A split is one key as long as its backends and their weights are; it reads as what it is of."""
        web, old, new = (Authority(name, 80) for name in ("web", "old", "new"))
        split = Split(web, ((old, 9), (new, 1)))
        self.assertEqual(split, Split(web, ((old, 9), (new, 1))))
        self.assertEqual(3, len({split, Split(web, ((old, 8), (new, 1))), web}))
        self.assertEqual("web:80", str(split))

    def test_bad_split(self) -> None:
        """One in which nobody gets anything, or less than nothing, is none."""
        web, old = Authority("web", 80), Authority("old", 80)
        for backends in ((), ((old, 0),), ((old, 1), (web, -1))):
            self.assertRaises(ValueError, Split, web, backends)

    def test_frozen(self) -> None:
        """A key does not change."""
        with self.assertRaises(FrozenInstanceError):
            Authority("a", 80).port = 81  # type: ignore[misc]

    def test_readable(self) -> None:
        """They read as people write them."""
        told = [
            str(t) for t in (Authority("a", 80), Endpoint("::1", 80), OriginalDst("1.2.3.4", 5), ServiceName("web"))
        ]
        self.assertEqual(["a:80", "[::1]:80", "1.2.3.4:5", "web"], told)
        self.assertEqual("kafka-1:9092", str(Member("kafka", "kafka-1", 9092)))
        self.assertEqual("Authority(host='a', port=80)", repr(Authority("a", 80)))


class HostPortTests(SynchronousTestCase):
    """C{host:port}."""

    def test_round_trip(self) -> None:
        """What is joined can be split again."""
        for pair in (("a", 1), ("1.2.3.4", 65535), ("::1", 80), ("fe80::1", 8080)):
            self.assertEqual(pair, split_host_port(join_host_port(*pair)))

    def test_default(self) -> None:
        """A missing port is the default, where there is one."""
        self.assertEqual([("a", 80), ("::1", 80)], [split_host_port(text, 80) for text in ("a", "[::1]")])
        for text in ("a", "[::1]", ""):
            self.assertRaises(ValueError, split_host_port, text)

    def test_bad_ports(self) -> None:
        """A port is a decimal number of this world, in plain digits."""
        for port in ("0", "65536", "-1", "+1", "1_0", " 1", "x", "\u0663", "1.0"):
            self.assertRaises(ValueError, split_host_port, f"a:{port}", 80)
