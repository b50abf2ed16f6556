# -*- test-case-name: tests.protocols.kafka.codec.test_apis -*-
"""
Tests for L{lproxy.protocols.kafka.codec.apis}, held against the schemas of kafka-python.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.protocols.kafka.codec.apis import (
    API_VERSIONS,
    APIS,
    BY_NAME,
    FETCH,
    METADATA,
    PRODUCE,
    SASL_HANDSHAKE,
    label,
)
from lproxy.protocols.kafka.filter import _messages


class ApiTests(SynchronousTestCase):
    """The table."""

    def test_schemas(self) -> None:
        """Names, newest and first flexible versions are those of every schema that kafka-python has."""
        requests, responses = _messages("request"), _messages("response")
        self.assertGreater(len(requests), 50)
        for messages, suffix in ((requests, "Request"), (responses, "Response")):
            for key, message in messages.items():
                api = APIS[key]
                self.assertEqual(api.name + suffix, message.name)
                self.assertLessEqual(message.max_version, api.newest, api)
                for version in range(api.newest + 1):
                    self.assertEqual(message.flexible_version_q(version), api.is_flexible(version), (api, version))

    def test_all(self) -> None:
        """There are 94, each by its key and by its name."""
        self.assertEqual(list(range(94)), list(APIS))
        self.assertEqual(94, len(BY_NAME))
        for api in APIS.values():
            self.assertIs(api, BY_NAME[api.name])
            self.assertEqual(api.name, label(api.key))

    def test_rows(self) -> None:
        """Some that are looked at elsewhere."""
        rows = [(PRODUCE, 13, 9), (FETCH, 18, 12), (METADATA, 13, 9), (SASL_HANDSHAKE, 1, None), (API_VERSIONS, 4, 3)]
        for key, newest, flexible in rows:
            self.assertEqual((newest, flexible), (APIS[key].newest, APIS[key].flexible))

    def test_answers(self) -> None:
        """The answer's header has tags where the request's has, but for ApiVersions."""
        self.assertTrue(APIS[PRODUCE].has_tagged_response(9))
        self.assertFalse(APIS[PRODUCE].has_tagged_response(8))
        self.assertTrue(APIS[API_VERSIONS].is_flexible(4))
        self.assertFalse(APIS[API_VERSIONS].has_tagged_response(4))
        self.assertFalse(APIS[SASL_HANDSHAKE].is_flexible(1))

    def test_vendors(self) -> None:
        """Keys of vendors have one label together."""
        self.assertEqual({"other"}, {label(key) for key in (94, 10_000, 65_535)})
