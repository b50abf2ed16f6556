# -*- test-case-name: tests.protocols.http.h2.test_counts -*-
"""
L{lproxy.protocols.http.h2.counts}: what is counted of HTTP/2.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.h2.counts import PEER, US, Http2Counts


class FamilyTests(SynchronousTestCase):
    """As they are scraped."""

    def shown(self, counts: Http2Counts) -> dict[str, list[Any]]:
        """Samples by family, without the listener's label."""
        return {
            family.name: [(dict(labels[1:]), value) for labels, value in family.samples]
            for family in counts.families((("listener", "web"),))
        }

    def test_nothing(self) -> None:
        """A listener that has seen no HTTP/2 shows none."""
        self.assertEqual(set(), {len(samples) for samples in self.shown(Http2Counts()).values()} - {0})

    def test_all(self) -> None:
        """Each side has its own; resets and GOAWAY say who, and a code that has a name."""
        counts = Http2Counts()
        counts.clients.connections = 3
        counts.clients.open = 1
        counts.clients.streams = 9
        counts.upstreams.connections = 1
        counts.upstreams.waits = 2
        counts.clients.reset(PEER, 8)
        counts.clients.reset(PEER, 8)
        counts.clients.reset(US, 0xBEEF)
        counts.upstreams.goaway(PEER, 0)
        shown = self.shown(counts)
        self.assertEqual([({"peer": "src"}, 1), ({"peer": "dst"}, 0)], shown["h2_connections"])
        self.assertEqual([({"peer": "src"}, 3), ({"peer": "dst"}, 1)], shown["h2_connections_total"])
        self.assertEqual([({"peer": "src"}, 9), ({"peer": "dst"}, 0)], shown["h2_streams_total"])
        self.assertEqual([({"peer": "src"}, 0), ({"peer": "dst"}, 2)], shown["h2_flow_control_waits_total"])
        self.assertEqual(
            [
                ({"peer": "src", "by": "peer", "code": "CANCEL"}, 2),
                ({"peer": "src", "by": "us", "code": "other"}, 1),
            ],
            shown["h2_resets_total"],
        )
        self.assertEqual([({"peer": "dst", "by": "peer", "code": "NO_ERROR"}, 1)], shown["h2_goaways_total"])
