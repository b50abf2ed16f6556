# -*- test-case-name: tests.discover.test_records -*-
"""
Tests for L{lproxy.discover.records}.
"""

from __future__ import annotations

from twisted.names import dns
from twisted.trial.unittest import SynchronousTestCase

from lproxy.discover.records import Alias, AliasLoop, Answer, read
from tests.discover.doubles import a, aaaa, cname


class ReadTests(SynchronousTestCase):
    """What an answer says about a name."""

    def test_addresses(self) -> None:
        """All of one family, each once, for the shortest TTL among them."""
        records = (
            a("web", "10.0.0.1", ttl=60) + a("web", "10.0.0.2", "10.0.0.1", ttl=30) + aaaa("web", "fd00::1", ttl=1)
        )
        self.assertEqual(Answer(("10.0.0.1", "10.0.0.2"), 30), read(records, "web", dns.A))
        self.assertEqual(Answer(("fd00::1",), 1), read(records, "web", dns.AAAA))

    def test_case(self) -> None:
        """Names are the same in any case."""
        self.assertEqual(Answer(("10.0.0.1",), 60), read(a("WEB.Local", "10.0.0.1"), "web.LOCAL", dns.A))

    def test_alias(self) -> None:
        """CNAMEs are followed, in whatever order they stand; theirs can be the shortest TTL."""
        records = a("c", "10.0.0.1") + cname("b", "C", ttl=9) + cname("a", "b")
        self.assertEqual(Answer(("10.0.0.1",), 9), read(records, "a", dns.A))

    def test_alias_out(self) -> None:
        """A CNAME that leads out of the answer is to be asked for."""
        self.assertEqual(Alias("c", 9), read(cname("a", "b", ttl=9) + cname("b", "c"), "a", dns.A))

    def test_loop(self) -> None:
        """One that leads back is an error, not an endless loop."""
        self.assertRaises(AliasLoop, read, cname("a", "b") + cname("b", "a"), "a", dns.A)
        self.assertRaises(AliasLoop, read, cname("a", "a"), "a", dns.A)

    def test_nothing(self) -> None:
        """An answer about others says nothing, nor one of another class or type."""
        other = dns.RRHeader("web", dns.A, dns.CH, 60, dns.Record_A("10.0.0.1"))
        for records in ([], a("other", "10.0.0.1"), aaaa("web", "fd00::1"), cname("other", "web"), [other]):
            self.assertIdentical(None, read(records, "web", dns.A))

    def test_not_ascii(self) -> None:
        """Foreign bytes in a name are no error."""
        record = dns.RRHeader(b"w\xffb", dns.A, ttl=60, payload=dns.Record_A("10.0.0.1"))
        self.assertIdentical(None, read([record], "web", dns.A))
