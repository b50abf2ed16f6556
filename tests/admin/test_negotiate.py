# -*- test-case-name: tests.admin.test_negotiate -*-
"""
L{lproxy.admin.negotiate}: what clients would rather have.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.admin.negotiate import accepted, preferred, wants_gzip

TEXT, V1, V0 = OFFERS = (("text/plain", "0.0.4"), ("application/open", "1.0.0"), ("application/open", "0.0.1"))


class PreferredTests(SynchronousTestCase):
    """Media types by Accept."""

    def test_which(self) -> None:
        """The heaviest that there is; the first of ours among equals, and where nobody says, or wants none."""
        for header, wanted in {
            "": TEXT,
            "*/*": TEXT,
            "application/open": V1,
            "Application/Open;Version=1.0.0": V1,
            "application/open; version=0.0.1": V0,
            'application/open;version="0.0.1"': V0,
            "application/open;version=7": TEXT,
            "application/open;version=1.0.0;q=0.5,application/open;version=0.0.1;q=0.75,text/plain;q=0.3": V0,
            "application/open;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1": V1,
            "text/plain;q=0.5,application/open;q=0.4": TEXT,
            "application/open;q=0": TEXT,
            "application/*": V1,
            "text/*;q=0.2, application/*;q=0.3": V1,
            # the most specific counts, not the first or heaviest
            "*/*;q=1, application/open;q=0.1, text/plain;q=0": V1,
            "application/open;q=0.9, application/open;version=1.0.0;q=0": V0,
            "text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8": TEXT,
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited": TEXT,
            "application/open;q=2, text/plain;q=0.1": TEXT,
            "application/open;q=nan, text/plain;q=0.1": TEXT,
            ",,;;q=": TEXT,
            'a/b;x="1,application/open",text/plain;q=0.1': TEXT,
        }.items():
            self.assertEqual(wanted, preferred(header, OFFERS), header)

    def test_accepted(self) -> None:
        """Elements with their parameters and weights."""
        self.assertEqual([("a/b", {"x": "1;,2"}, 0.5), ("c", {}, 1.0)], list(accepted(' A/B ; x="1;,2" ; q=0.5 ,, c')))

    def test_long(self) -> None:
        """However long and odd it is, it is read at once."""
        for odd in ('"' * 8_000, "," * 8_000, ";q=" * 3_000, '"\\' * 4_000, "a;" * 4_000, " " * 8_000):
            self.assertEqual(TEXT, preferred(odd, OFFERS))
            self.assertFalse(wants_gzip(odd))


class GzipTests(SynchronousTestCase):
    """Codings by Accept-Encoding."""

    def test_wanted(self) -> None:
        """Where it is asked for, and nothing is wanted more."""
        for header in (
            "gzip",
            "x-gzip",
            "deflate, GZIP;q=0.5",
            "*",
            "gzip;q=0.001",
            "identity;q=0.5, gzip",
            "*;q=0.1, identity;q=0",
        ):
            self.assertTrue(wants_gzip(header), header)
        for header in ("", "identity", "br", "gzip;q=0", "*;q=0", "*, gzip;q=0", "gzip;q=0.5, identity", "gzip;q=x"):
            self.assertFalse(wants_gzip(header), header)
