# -*- test-case-name: tests.protocols.kafka.test_metrics -*-
"""
Tests for L{lproxy.protocols.kafka.metrics}: what is counted, and what is shown of it.
"""

from __future__ import annotations

import math
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.config import Metrics as Config
from lproxy.metrics.registry import Metrics as Exposition
from lproxy.protocols.kafka.codec.apis import APIS
from lproxy.protocols.kafka.metrics import AHEAD, Brokers, KafkaMetrics, version_label
from tests.protocols.kafka.talk.scripted import Talk, answer, ask, beat, handshake, heartbeat, produce

#: what is shown of all listeners
FAMILIES = {
    "kafka_connections": "counter",
    "kafka_connections_open": "gauge",
    "kafka_requests": "counter",
    "kafka_responses": "counter",
    "kafka_request_bytes": "counter",
    "kafka_response_bytes": "counter",
    "kafka_request_size_bytes": "histogram",
    "kafka_response_latency_seconds": "histogram",
    "kafka_in_flight": "gauge",
    "kafka_no_response": "counter",
    "kafka_unexpected_response": "counter",
    "kafka_incomplete": "counter",
    "kafka_protocol_errors": "counter",
    "kafka_idle_closes": "counter",
    "kafka_connections_refused": "counter",
    "kafka_denied": "counter",
    "kafka_rewritten_addresses": "counter",
    "kafka_brokers_bound": "gauge",
    "kafka_brokers_limit": "gauge",
    "kafka_brokers_left_out": "gauge",
    "kafka_connects_failed": "counter",
    "kafka_passed_unread": "counter",
    "kafka_response_errors": "counter",
    "kafka_throttle_seconds": "counter",
    "kafka_client_requests": "counter",
    "kafka_client_request_bytes": "counter",
    "kafka_versions_clamped": "counter",
    "kafka_read_paused_seconds": "counter",
    "kafka_sasl": "counter",
    "kafka_topic_produce_bytes": "counter",
    "kafka_topic_fetch_bytes": "counter",
}

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def exposed(*listeners: KafkaMetrics) -> tuple[dict[str, str], Samples]:
    """What a scrape has of them, as Prometheus reads it: families with their types, and samples."""
    exposition = Exposition(Config(), Clock())
    for listener in listeners:
        exposition.plugin("kafka").families(listener.families)
    text = b"".join(exposition.text()).decode()
    families, samples = {}, {}
    for family in text_string_to_metric_families(text):
        if family.name.startswith("kafka_"):
            assert family.name not in families, family.name
            families[family.name] = family.type
            for one in family.samples:
                at = (one.name, tuple(sorted(one.labels.items())))
                assert at not in samples, at
                samples[at] = one.value
    return families, samples


class ExpositionTests(SynchronousTestCase):
    """What a scrape shows."""

    def value(self, samples: Samples, name: str, **labels: str) -> float:
        """One sample's."""
        labels = {"direction": "inbound", "listener": "scripted", **labels}
        return samples[(name, tuple(sorted(labels.items())))]

    def test_nothing(self) -> None:
        """Where nothing has happened, all families are there, and those without further labels have their zero."""
        families, samples = exposed(Talk().metrics)
        self.assertEqual(FAMILIES, families)
        self.assertEqual(0.0, self.value(samples, "kafka_no_response_total"))
        self.assertEqual(1.0, self.value(samples, "kafka_connections_open"))
        self.assertEqual(10, len(samples))

    def test_everything(self) -> None:
        """A conversation with a bit of all is shown as it was."""
        talk = Talk(topics=True)
        talk.client(
            heartbeat(1) + heartbeat(2) + produce(3, 0) + ask(10_000, 4, 4) + ask(1, 300, 5) + handshake(b"X", 1, 6)
        )
        talk.turn(0.25)
        talk.broker(beat(1) + answer(0, 9, 3) + beat(2) + answer(10_000, 4, 4))
        talk.metrics.connections = 1
        talk.metrics.paused["quota"] = 0.5
        talk.metrics.topics.produced["orders"] = 100
        families, samples = exposed(talk.metrics)
        self.assertEqual(FAMILIES, families)

        def value(name: str, **labels: str) -> float:
            return self.value(samples, f"kafka_{name}", **labels)

        self.assertEqual(2, value("requests_total", api="Heartbeat", version="4", node=""))
        self.assertEqual(2, value("responses_total", api="Heartbeat", version="4", node=""))
        self.assertEqual(1, value("requests_total", api="other", version="other", node=""))
        self.assertEqual(1, value("requests_total", api="Fetch", version="other", node=""))
        self.assertEqual(0, value("responses_total", api="Fetch", version="other", node=""))
        self.assertEqual(2 * len(heartbeat()), value("request_bytes_total", api="Heartbeat"))
        self.assertEqual(2 * len(beat()), value("response_bytes_total", api="Heartbeat"))
        self.assertEqual(2, value("request_size_bytes_count", api="Heartbeat"))
        self.assertEqual(2, value("request_size_bytes_bucket", api="Heartbeat", le="+Inf"))
        self.assertEqual(2 * len(heartbeat()) - 8, value("request_size_bytes_sum", api="Heartbeat"))
        self.assertEqual(0.5, value("response_latency_seconds_sum", api="Heartbeat"))
        self.assertEqual((1, 1), (value("no_response_total"), value("unexpected_response_total")))
        self.assertEqual((2, 1), (value("in_flight"), value("connections_total")))
        self.assertEqual(0.5, value("read_paused_seconds_total", reason="quota"))
        self.assertEqual(100, value("topic_produce_bytes_total", topic="orders"))
        talk.talk.ended()
        samples = exposed(talk.metrics)[1]
        self.assertEqual(
            (1, 1), (value("incomplete_total", api="Fetch"), value("incomplete_total", api="SaslHandshake"))
        )
        self.assertTrue(all(math.isfinite(number) for number in samples.values()))

    def test_clients(self) -> None:
        """Client ids are labels where that is wanted, so many of them; errors are told apart by them."""
        metrics = KafkaMetrics("inbound", "scripted", lambda: 0, lambda: 0, client_id_cap=2)
        for client_id in ("a", None, "c", "d"):
            counter = metrics.client(client_id)
            assert counter is not None
            counter.requests += 1
            counter.bytes += 10
            metrics.tally("Fetch", client_id).error(6)
        metrics.tally("Fetch", "a").throttle(500)
        _, samples = exposed(metrics)
        for client_id, count in (("a", 1), ("", 1), ("other", 2)):
            named = {"client_id": client_id}
            self.assertEqual(count, self.value(samples, "kafka_client_requests_total", **named))
            self.assertEqual(10 * count, self.value(samples, "kafka_client_request_bytes_total", **named))
            named |= {"api": "Fetch"}
            error = self.value(samples, "kafka_response_errors_total", error="NOT_LEADER_OR_FOLLOWER", **named)
            self.assertEqual(count, error)
        self.assertEqual(0.5, self.value(samples, "kafka_throttle_seconds_total", api="Fetch", client_id="a"))

    def test_no_clients(self) -> None:
        """Where it is not, there is one label for all, and nothing is counted."""
        metrics = KafkaMetrics("inbound", "scripted", lambda: 0, lambda: 0)
        self.assertIsNone(metrics.client("a"))
        self.assertIs(metrics.tally("Fetch", "a"), metrics.tally("Fetch", "b"))
        self.assertEqual({("Fetch", "")}, set(metrics.tallies))

    def test_brokers(self) -> None:
        """A gateway's brokers are counted as they are now."""
        metrics = KafkaMetrics("inbound", "scripted", lambda: 0, lambda: 0, brokers=lambda: Brokers(3, 100, 1))
        _, samples = exposed(metrics)
        for name, count in (("bound", 3), ("limit", 100), ("left_out", 1)):
            self.assertEqual(count, self.value(samples, f"kafka_brokers_{name}"))

    def test_listeners(self) -> None:
        """Two listeners show the same families, each with its own samples."""
        listeners = [KafkaMetrics("inbound", name, lambda: 0, lambda: 0) for name in ("a", "b")]
        for metrics in listeners:
            metrics.version(3, 12, "").requests += 1
        families, samples = exposed(*listeners)
        self.assertEqual(FAMILIES, families)
        for name in ("a", "b"):
            one = self.value(samples, "kafka_requests_total", listener=name, api="Metadata", version="12", node="")
            self.assertEqual(1.0, one)

    def test_hostile(self) -> None:
        """Whatever name a topic or listener has, the exposition can be read, and has it."""
        names = ['a"b', "a\\b", "a\nb", "{}", "größe", "x" * 300, "\ufffd", '",x="']
        metrics = KafkaMetrics("inbound", 'l"\n', lambda: 0, lambda: 0)
        for name in names:
            metrics.topics.fetched[name] = 5
        samples = exposed(metrics)[1]
        for name in names:
            value = self.value(samples, "kafka_topic_fetch_bytes_total", topic=name, listener='l"\n')
            self.assertEqual(5.0, value)

    def test_while_counting(self) -> None:
        """What comes up in the middle of a scrape does no harm to it."""
        metrics = KafkaMetrics("inbound", "scripted", lambda: 0, lambda: 0)
        for key in range(20):
            metrics.version(key, 0, "")
        exposition = Exposition(Config(), Clock())

        def families() -> Any:
            for family in metrics.families():
                yield family
                metrics.version(len(metrics.apis), 0, "")
                n = len(metrics.protocol_errors)
                metrics.protocol_errors[f"r{n}"] = metrics.topics.produced[f"t{n}"] = 1

        exposition.plugin("kafka").families(families)
        text = b"".join(exposition.text()).decode()
        self.assertIn('version="0"', text)
        self.assertGreater(len(list(text_string_to_metric_families(text))), 20)


class LabelTests(SynchronousTestCase):
    """What may be a label."""

    def test_version(self) -> None:
        """Versions up to a little ahead of those known are told apart, and of unknown keys none."""
        for key, api in APIS.items():
            self.assertEqual("0", version_label(key, 0))
            self.assertEqual(str(api.newest + AHEAD), version_label(key, api.newest + AHEAD))
            self.assertEqual("other", version_label(key, api.newest + AHEAD + 1))
            self.assertEqual("other", version_label(key, 65_535))
        for key in (94, 10_000, 65_535):
            self.assertEqual("other", version_label(key, 0))

    def test_shared(self) -> None:
        """All that asks for the same is counted in the same place: by API, in whatever version, to whatever node."""
        metrics = KafkaMetrics("inbound", "scripted", lambda: 0, lambda: 0)
        self.assertIs(metrics.version(3, 12, ""), metrics.version(3, 12, ""))
        self.assertIsNot(metrics.version(3, 12, ""), metrics.version(3, 12, "1"))
        self.assertIs(metrics.version(3, 11, "1").api, metrics.version(3, 12, "").api)
        self.assertIs(metrics.version(94, 1, ""), metrics.version(10_000, 7, ""))
