# -*- test-case-name: tests.protocols.kafka.gateway.test_policy -*-
"""
What a gateway makes of requests: no broker's own address leaves it, whatever is asked.

Answers that hold addresses are rewritten. What else might hold some is not to be asked for: clients are not told that
brokers could answer it (ApiVersions), and who asks nevertheless is let go.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from lproxy.protocols.kafka.codec.apis import (
    API_VERSIONS,
    APIS,
    DESCRIBE_CLUSTER,
    DESCRIBE_QUORUM,
    FIND_COORDINATOR,
    METADATA,
    PRODUCE,
)
from lproxy.protocols.kafka.codec.frame import Editor
from lproxy.protocols.kafka.codec.header import SIZE, Malformed
from lproxy.protocols.kafka.codec.versions import UNSUPPORTED_VERSION, narrow, unsupported
from lproxy.protocols.kafka.filter import Context
from lproxy.protocols.kafka.gateway import quorum, rewrite
from lproxy.protocols.kafka.gateway.cluster import Cluster, Named
from lproxy.protocols.kafka.gateway.large import Coordinators, Whole
from lproxy.protocols.kafka.gateway.limits import HIDDEN, NEWEST_VERSIONS
from lproxy.protocols.kafka.metrics import KafkaMetrics
from lproxy.protocols.kafka.settings import KafkaConfig, allowed, denied
from lproxy.protocols.kafka.talk.request import Pending, VersionedApi, body_of

#: what makes a whole body of another: the answer's body, its version, and who knows where brokers are found
Rewrite = Callable[[bytes, int, rewrite.Translate], bytes]

Done = TypeVar("Done")

#: how an answer begins that says: not in this version
UNSUPPORTED = UNSUPPORTED_VERSION.to_bytes(2, "big")
#: answers of which all has to be seen
WHOLE: dict[int, Rewrite] = {
    FIND_COORDINATOR: rewrite.find_coordinator,
    DESCRIBE_CLUSTER: rewrite.describe_cluster,
    DESCRIBE_QUORUM: quorum.describe_quorum,
    PRODUCE: rewrite.produce,
}


#: the first version of FindCoordinator with several
COORDINATORS = 4


class GatewayPolicy:
    """
    What a gateway makes of the requests to all its brokers.

    @param cluster: who knows where brokers are found
    """

    def __init__(self, config: KafkaConfig, metrics: KafkaMetrics, cluster: Cluster) -> None:
        self.config = config
        self.metrics = metrics
        self._cluster = cluster
        self._allowed = allowed(config)
        self.limits = dict(NEWEST_VERSIONS)
        for key, version in config.max_versions.items():
            self.limits[key] = min(version, self.limits.get(key, version))
        self.hidden = (HIDDEN | denied(config)) - self._allowed

    def decide(self, api: VersionedApi) -> None:
        """Rewrite, pass or refuse."""
        key = api.key
        if key == API_VERSIONS:
            # brokers answer those that they do not know as well, so that both sides can agree
            api.edit = self._versions
        elif self._leaks(key, api.version):
            api.deny("unsupported")
        elif key == METADATA:
            api.edit = self._metadata
        elif key in WHOLE and (key != PRODUCE or api.version >= rewrite.PRODUCE_NODES):
            api.edit = partial(self._any_size, WHOLE[key])

    def _leaks(self, key: int, version: int) -> bool:
        """Whether an answer to this may hold addresses that nobody rewrites."""
        if key in self._allowed:
            return False
        return key not in APIS or key in self.hidden or version > self.limits.get(key, version)

    # edits: see Frames.edit

    def _metadata(self, context: Context, pending: Pending, frame: bytes, length: int) -> tuple[int, bytes] | None:
        """Brokers stand first: the rest, of any size, goes on as it comes."""
        begin = body_of(pending.api, frame, length)
        done = None
        if begin is not None:
            body, size, version = frame[begin:], length - begin, pending.api.version
            done = self._rewritten(context, pending, lambda translate: rewrite.metadata(body, version, size, translate))
        if begin is None or done is None:
            if len(frame) > self.config.buffered:
                raise ValueError(f"{len(frame)} bytes of brokers are more than kafka.buffered")
            return None
        took, instead = done
        head = SIZE.pack(length - 4 + len(instead) - took) + frame[4:begin]
        return begin + took, head + instead

    def _any_size(
        self, change: Rewrite, context: Context, pending: Pending, frame: bytes, length: int
    ) -> tuple[int, bytes] | Editor | None:
        """What is too large to be looked at again with each piece is changed in pieces."""
        if length <= self.config.buffered:
            return self._whole(change, context, pending, frame, length)
        if length > self.config.max_rewritten:
            raise ValueError(f"{length} bytes are more than kafka.max_rewritten")
        if pending.api.key != FIND_COORDINATOR or pending.api.version < COORDINATORS:
            return Whole(lambda frame: self._changed(change, context, pending, frame)[1])
        cluster = self._cluster

        def translate(node: int, host: str, port: int) -> tuple[str, int] | None:
            cluster.learn([(node, host, port)], all_there_are=False)
            return cluster.locate(node, context.local)

        return Coordinators(length, translate, partial(self._count, pending.api.name))

    def _whole(
        self, change: Rewrite, context: Context, pending: Pending, frame: bytes, length: int
    ) -> tuple[int, bytes] | None:
        if length > self.config.buffered:
            raise ValueError(f"{length} bytes to be rewritten are more than kafka.buffered")
        return self._changed(change, context, pending, frame) if len(frame) >= length else None

    def _changed(self, change: Rewrite, context: Context, pending: Pending, frame: bytes) -> tuple[int, bytes]:
        """How long C{frame} is, which is whole, and what becomes of it."""
        length = len(frame)
        begin = body_of(pending.api, frame, length) or length
        body = frame[begin:]
        changed = self._rewritten(context, pending, lambda translate: change(body, pending.api.version, translate))
        if changed is body:
            return length, frame
        return length, SIZE.pack(begin - 4 + len(changed)) + frame[4:begin] + changed

    def _versions(self, context: Context, pending: Pending, frame: bytes, length: int) -> tuple[int, bytes] | None:
        return self._whole(self._narrow, context, pending, frame, length)

    def _narrow(self, body: bytes, version: int, translate: rewrite.Translate) -> bytes:
        narrowed = self.metrics.clamped
        try:
            changed = narrow(body, version, self.limits, self.hidden, self._allowed)
        except Malformed:
            if body[:2] != UNSUPPORTED:
                raise
            # librdkafka's mock says so in a mixture of two versions. Clients then ask in the oldest: as after this
            changed = unsupported(0)
        if changed is not body:
            narrowed["ApiVersions"] = narrowed.get("ApiVersions", 0) + 1
        return changed

    def _rewritten(self, context: Context, pending: Pending, change: Callable[[rewrite.Translate], Done]) -> Done:
        """What C{change} makes of an answer. Nobody is given a port before all of it has proved well-formed."""
        named: list[Named] = []

        def note(node: int, host: str, port: int) -> tuple[str, int]:
            named.append((node, host, port))
            return host, port

        unchanged = change(note)
        if not named:
            return unchanged
        cluster, name = self._cluster, pending.api.name
        cluster.learn(named, all_there_are=pending.api.key in (METADATA, DESCRIBE_CLUSTER))
        self._count(name, len(named))
        return change(lambda node, host, port: cluster.locate(node, context.local))

    def _count(self, name: str, addresses: int) -> None:
        rewritten = self.metrics.rewritten
        rewritten[name] = rewritten.get(name, 0) + addresses
