# -*- test-case-name: tests.protocols.kafka.test_metrics -*-
"""
What is counted of a listener's Kafka: plain integers, resolved once per connection and versioned API.

The metric families that these become stand below, so that this folder is all that there is of Kafka.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from lproxy.metrics.caps import Cap
from lproxy.metrics.counters import Histogram
from lproxy.metrics.family import Family, Labels
from lproxy.protocols.kafka.codec.apis import APIS, OTHER, label
from lproxy.protocols.kafka.codec.tally import Tally
from lproxy.protocols.kafka.codec.topics import Topics
from lproxy.protocols.kafka.talk.counters import ApiCounter, ClientCounter, VersionCounter

#: versions beyond those known here that still have a label of their own: brokers are ahead of proxies
AHEAD = 4
#: distinct topics as labels, where nothing is said
TOPICS = 200


def version_label(key: int, version: int) -> str:
    """C{version} where it may be one: who makes them up must not make series."""
    api = APIS.get(key)
    return str(version) if api is not None and version <= api.newest + AHEAD else OTHER


class Brokers(NamedTuple):
    """
    A gateway's brokers, as of now.

    @ivar bound: those that have a port
    @ivar most: how many may have one
    @ivar left_out: those that clients are not told of
    """

    bound: int
    most: int
    left_out: int


#: of a listener that is no gateway
NO_BROKERS = Brokers(0, 0, 0)


class KafkaMetrics:
    """
    What is counted of one listener's connections.

    @ivar open: asks how many are live
    @ivar in_flight: asks how many requests are in flight
    @ivar brokers: asks how many brokers a gateway serves
    """

    def __init__(
        self,
        direction: str,
        listener: str,
        in_flight: Callable[[], int],
        open: Callable[[], int],
        topic_cap: int = TOPICS,
        brokers: Callable[[], Brokers] = lambda: NO_BROKERS,
        client_id_cap: int = 0,
    ) -> None:
        self.labels: Labels = (("direction", direction), ("listener", listener))
        self.connections = 0
        self.open = open
        self.in_flight = in_flight
        self.brokers = brokers
        self._client_ids = Cap(client_id_cap) if client_id_cap else None
        self.clients: dict[str, ClientCounter] = {}
        self.tallies: dict[tuple[str, str], Tally] = {}
        self.connects_failed: dict[str, int] = {}
        self.unread = 0
        self.apis: dict[str, ApiCounter] = {}
        self.versions: dict[tuple[str, str, str], VersionCounter] = {}
        self.protocol_errors: dict[str, int] = {}
        self.sasl: dict[tuple[str, str], int] = {}
        self.paused: dict[str, float] = {}
        self.refused: dict[str, int] = {}
        self.denied: dict[str, int] = {}
        self.rewritten: dict[str, int] = {}
        self.clamped: dict[str, int] = {}
        self.topics = Topics(topic_cap)
        self.no_response = 0
        self.unexpected = 0
        self.idle_closes = 0

    def version(self, key: int, version: int, node: str) -> VersionCounter:
        """Where requests of this kind to C{node} are counted."""
        name = label(key)
        at = (name, version_label(key, version), node)
        counter = self.versions.get(at)
        if counter is None:
            counter = self.versions[at] = VersionCounter(self.api(key))
        return counter

    def api(self, key: int) -> ApiCounter:
        """Where requests of C{key} are counted, in any version."""
        name = label(key)
        counter = self.apis.get(name)
        if counter is None:
            counter = self.apis[name] = ApiCounter()
        return counter

    def client(self, client_id: str | None) -> ClientCounter | None:
        """Where requests with C{client_id} are counted; C{None} where that is off."""
        if self._client_ids is None:
            return None
        label = self.client_label(client_id)
        counter = self.clients.get(label)
        if counter is None:
            counter = self.clients[label] = ClientCounter()
        return counter

    def client_label(self, client_id: str | None) -> str:
        """What a metric calls C{client_id}; nothing where client ids are not told apart."""
        return self._client_ids(client_id or "") if self._client_ids is not None else ""

    def tally(self, api: str, client_id: str | None) -> Tally:
        """Where the errors in responses to C{api} are counted."""
        at = (api, self.client_label(client_id))
        tally = self.tallies.get(at)
        if tally is None:
            tally = self.tallies[at] = Tally()
        return tally

    def families(self) -> Iterator[Family]:
        """What of this is shown."""
        own = self.labels
        apis, versions = list(self.apis.items()), list(self.versions.items())

        def per_api(value: Callable[[ApiCounter], int | Histogram]) -> Iterator[tuple[Labels, int | Histogram]]:
            return (((*own, ("api", name)), value(counter)) for name, counter in apis)

        def per_version(value: Callable[[VersionCounter], int]) -> Iterator[tuple[Labels, int]]:
            return (
                ((*own, ("api", api), ("version", version), ("node", node)), value(counter))
                for (api, version, node), counter in versions
            )

        def by(name: str, counts: dict[str, int] | dict[str, float]) -> Iterator[tuple[Labels, float]]:
            return (((*own, (name, value)), n) for value, n in list(counts.items()))

        yield Family("kafka_connections_total", "counter", "Kafka connections.", [(own, self.connections)])
        yield Family("kafka_connections_open", "gauge", "Kafka connections open now.", [(own, self.open())])
        yield Family(
            "kafka_requests_total",
            "counter",
            "Requests. node is the broker's id where lproxy knows it (gateway), else empty.",
            per_version(lambda c: c.requests),
        )
        yield Family(
            "kafka_responses_total",
            "counter",
            "Responses, with the labels of their requests.",
            per_version(lambda c: c.responses),
        )
        yield Family("kafka_request_bytes_total", "counter", "Bytes of requests.", per_api(lambda c: c.request_bytes))
        yield Family(
            "kafka_response_bytes_total", "counter", "Bytes of responses.", per_api(lambda c: c.response_bytes)
        )
        yield Family("kafka_request_size_bytes", "histogram", "Sizes of requests.", per_api(lambda c: c.sizes))
        yield Family(
            "kafka_response_latency_seconds",
            "histogram",
            "From a request's last byte to its response's first. Fetch, JoinGroup, SyncGroup wait on purpose.",
            per_api(lambda c: c.latency),
        )
        yield Family(
            "kafka_in_flight", "gauge", "Requests in flight: sent, and not responded to.", [(own, self.in_flight())]
        )
        yield Family(
            "kafka_no_response_total",
            "counter",
            "Produce requests with acks=0, which have no response.",
            [(own, self.no_response)],
        )
        yield Family(
            "kafka_unexpected_response_total",
            "counter",
            "Responses to requests that have none (acks=0): passed on.",
            [(own, self.unexpected)],
        )
        yield Family(
            "kafka_incomplete_total",
            "counter",
            "Requests whose connection ended before their response.",
            per_api(lambda c: c.incomplete),
        )
        yield Family(
            "kafka_protocol_errors_total",
            "counter",
            "Connections on which something was not Kafka: closed, or passed on unread. By reason.",
            by("reason", self.protocol_errors),
        )
        yield Family(
            "kafka_idle_closes_total",
            "counter",
            "Connections closed as nothing moved on them for kafka.idle.",
            [(own, self.idle_closes)],
        )
        yield Family(
            "kafka_connections_refused_total",
            "counter",
            "Connections over a limit, closed at once, by the limit.",
            by("reason", self.refused),
        )
        yield Family(
            "kafka_denied_total", "counter", "Requests refused by deny, a gateway or a filter.", by("api", self.denied)
        )
        yield Family(
            "kafka_rewritten_addresses_total",
            "counter",
            "Broker addresses replaced in responses.",
            by("api", self.rewritten),
        )
        brokers = self.brokers()
        yield Family("kafka_brokers_bound", "gauge", "A gateway's brokers that have a port.", [(own, brokers.bound)])
        yield Family("kafka_brokers_limit", "gauge", "How many may have one.", [(own, brokers.most)])
        yield Family(
            "kafka_brokers_left_out",
            "gauge",
            "Brokers that a gateway's clients are not told of: no port is left, or their address is none.",
            [(own, brokers.left_out)],
        )
        yield Family(
            "kafka_connects_failed_total",
            "counter",
            "Connections to a broker that could not be had. node as in kafka_requests_total.",
            by("node", self.connects_failed),
        )
        yield Family(
            "kafka_passed_unread_total",
            "counter",
            "Connections that from some byte on were passed on unread, as TCP is. None of a gateway's ever is.",
            [(own, self.unread)],
        )
        tallies = [((*own, ("api", api), ("client_id", client)), t) for (api, client), t in list(self.tallies.items())]
        yield Family(
            "kafka_response_errors_total",
            "counter",
            "Errors in responses to Produce and Fetch, of each partition (kafka.errors).",
            (((*labels, ("error", name)), n) for labels, tally in tallies for name, n in list(tally.errors.items())),
        )
        yield Family(
            "kafka_throttle_seconds_total",
            "counter",
            "Seconds for which responses to Produce and Fetch told clients to be quiet (kafka.errors).",
            ((labels, tally.throttled) for labels, tally in tallies),
        )
        clients = [((*own, ("client_id", client)), counter) for client, counter in list(self.clients.items())]
        yield Family(
            "kafka_client_requests_total",
            "counter",
            "Requests by client id (kafka.client_ids).",
            ((labels, counter.requests) for labels, counter in clients),
        )
        yield Family(
            "kafka_client_request_bytes_total",
            "counter",
            "Bytes of requests by client id (kafka.client_ids).",
            ((labels, counter.bytes) for labels, counter in clients),
        )
        yield Family(
            "kafka_versions_clamped_total",
            "counter",
            "ApiVersions responses in which an API's newest version was lowered, or the API removed.",
            by("api", self.clamped),
        )
        yield Family(
            "kafka_read_paused_seconds_total",
            "counter",
            "Seconds for which a client was not read: in_flight, too many requests in flight; quota.",
            by("reason", self.paused),
        )
        sasl = ((((*own, ("mechanism", m), ("result", r))), n) for (m, r), n in list(self.sasl.items()))
        yield Family(
            "kafka_sasl_total",
            "counter",
            "SASL logins: ok, or failed, which includes a mechanism that was refused.",
            sasl,
        )
        yield Family(
            "kafka_topic_produce_bytes_total",
            "counter",
            "Bytes of records produced, by topic.",
            by("topic", self.topics.produced),
        )
        yield Family(
            "kafka_topic_fetch_bytes_total",
            "counter",
            "Bytes of records fetched, by topic.",
            by("topic", self.topics.fetched),
        )
