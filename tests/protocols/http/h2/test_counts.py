# -*- test-case-name: tests.protocols.http.h2.test_counts -*-
"""
L{lproxy.protocols.http.h2.counts}: what is counted of HTTP/2.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.http.h2.counts import PEER, US, PeerCounts, families


class FamilyTests(SynchronousTestCase):
    """As they are scraped."""

    def shown(self, counts: PeerCounts) -> dict[str, list[Any]]:
        """Samples by family, without the listener's label."""
        return {
            family.name: [(dict(labels[1:]), value) for labels, value in family.samples]
            for family in families((("listener", "web"), ("peer", "src")), counts)
        }

    def test_nothing(self) -> None:
        """A listener that has seen no HTTP/2 shows none."""
        self.assertEqual({0}, {len(samples) for samples in self.shown(PeerCounts()).values()})

    def test_all(self) -> None:
        """Resets and GOAWAY say who, and a code that has a name."""
        counts = PeerCounts()
        counts.connections = 3
        counts.open = 1
        counts.streams = 9
        counts.waits = 2
        counts.reset(PEER, 8)
        counts.reset(PEER, 8)
        counts.reset(US, 0xBEEF)
        counts.goaway(PEER, 0)
        shown, side = self.shown(counts), {"peer": "src"}
        self.assertEqual([(side, 1)], shown["h2_connections"])
        self.assertEqual([(side, 3)], shown["h2_connections_total"])
        self.assertEqual([(side, 9)], shown["h2_streams_total"])
        self.assertEqual([(side, 2)], shown["h2_flow_control_waits_total"])
        self.assertEqual(
            [({**side, "by": "peer", "code": "CANCEL"}, 2), ({**side, "by": "us", "code": "other"}, 1)],
            shown["h2_resets_total"],
        )
        self.assertEqual([({**side, "by": "peer", "code": "NO_ERROR"}, 1)], shown["h2_goaways_total"])
