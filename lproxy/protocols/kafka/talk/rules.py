# -*- test-case-name: tests.protocols.kafka.talk.test_rules -*-
"""
What a listener makes of the requests to one broker, and of their responses: it observes, denies, asks filters, and does
what a policy adds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from lproxy.protocols.kafka.codec.apis import APIS, FETCH, METADATA, PRODUCE, SASL_AUTHENTICATE
from lproxy.protocols.kafka.filter import Context, decode
from lproxy.protocols.kafka.metrics import AHEAD, KafkaMetrics
from lproxy.protocols.kafka.settings import KafkaConfig, denied
from lproxy.protocols.kafka.talk.counters import ApiCounter, VersionCounter
from lproxy.protocols.kafka.talk.quota import Quotas
from lproxy.protocols.kafka.talk.request import Edit, Pending, VersionedApi, body_of

#: decides what becomes of requests, and of their responses, by what it sets of it
Policy = Callable[[VersionedApi], None]


class Rules:
    """
    What a listener makes of requests to one broker.

    @param policy: decides what becomes of the requests of an API in a version, and of their responses
    @ivar node: the broker's id, empty where it is not known
    @ivar apis: by key and version in one word
    @ivar token: what a bare SASL token, a frame without a header, counts as
    @ivar fail_open: what is not Kafka passes, unread
    """

    def __init__(
        self, config: KafkaConfig, metrics: KafkaMetrics, quotas: Quotas, node: str = "", policy: Policy | None = None
    ) -> None:
        self.config = config
        self.metrics = metrics
        self.quotas = quotas
        self.topics = metrics.topics if config.topics else None
        self.errors: bool = config.errors
        self.node = node
        self._policy = policy
        self.apis: dict[int, VersionedApi] = {}
        self.token = VersionedApi(SASL_AUTHENTICATE, 0, VersionCounter(ApiCounter()))
        self.fail_open: bool = config.fail_open
        self._denied = denied(config)
        self.max_request: int = config.max_request
        self.max_response: int = config.max_response
        self.max_in_flight: int = config.max_in_flight
        self.max_header: int = config.max_header

    def api(self, word: int) -> VersionedApi:
        """What a request asks whose header begins with C{word}: key and version."""
        api = self.apis.get(word)
        if api is None:
            key, version = word >> 16 & 0xFFFF, word & 0xFFFF
            api = VersionedApi(key, version, self.metrics.version(key, version, self.node))
            if key in self._denied:
                api.deny("denied")
            if self._policy is not None:
                self._policy(api)
            if self.config.filters:
                self._filter(api)
            if self.topics is not None:
                api.walked = key in (FETCH, METADATA)
                api.plain_starts = ()
            if self.errors and key in (PRODUCE, FETCH):
                api.walked = True
            known = APIS.get(key)
            # kept, unless somebody makes them up
            if known is not None and version <= known.newest + AHEAD:
                self.apis[word] = api
        return api

    def _filter(self, api: VersionedApi) -> None:
        filters = self.config.filters
        api.filtered = True
        api.inspect_all()
        api.decoded = filters.wants_request(api.name)
        if filters.wants_response(api.name):
            api.edit = partial(self._decode, api.edit)

    def _decode(
        self, inner: Edit | None, context: Context, pending: Pending, frame: bytes, length: int
    ) -> tuple[int, bytes] | None:
        """Have filters read a whole response, after what else becomes of it."""
        if length > self.config.buffered:
            raise ValueError(f"{length} bytes to be read are more than kafka.buffered")
        if len(frame) < length:
            return None
        changed = inner(context, pending, frame, length) if inner is not None else None
        if isinstance(changed, tuple):
            frame = changed[1] + frame[changed[0] :]
        api = pending.api
        begin = body_of(api, frame, len(frame))
        body = decode("response", api.key, api.version, frame[begin:])
        self.config.filters.response(context, api.name, pending.head, body)
        return length, frame
