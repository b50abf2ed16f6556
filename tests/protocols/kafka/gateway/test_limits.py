# -*- test-case-name: tests.protocols.kafka.gateway.test_limits -*-
"""
Tests for L{lproxy.protocols.kafka.gateway.limits}.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.kafka.codec.apis import APIS, BY_NAME, FETCH
from lproxy.protocols.kafka.gateway import rewrite
from lproxy.protocols.kafka.gateway.limits import HIDDEN, NEWEST_VERSIONS


class TableTests(SynchronousTestCase):
    """What a gateway is able to."""

    def test_rewritten(self) -> None:
        """Versions of what is rewritten are those that the rewriting knows, not those that the table of APIs does."""
        self.assertEqual(rewrite.NEWEST, {key: NEWEST_VERSIONS[key] for key in rewrite.NEWEST})

    def test_others(self) -> None:
        """Each API that is known has a limit, and only two a lower one than what is known."""
        self.assertEqual(APIS.keys(), NEWEST_VERSIONS.keys())
        lower = {key: version for key, version in NEWEST_VERSIONS.items() if version < APIS[key].newest}
        self.assertEqual({FETCH: 15}, lower)

    def test_hidden(self) -> None:
        """Hidden is what the schemas of Kafka 4.1 give a broker's or controller's host and nobody rewrites."""
        self.assertEqual({4, 5, 6, 7, 52, 53, 54, 58, 59, 78, 79, 82}, HIDDEN)
        self.assertEqual("Envelope", APIS[58].name)
        self.assertNotIn(BY_NAME["ShareGroupHeartbeat"].key, HIDDEN)
