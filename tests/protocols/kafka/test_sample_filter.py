# -*- test-case-name: tests.protocols.kafka.test_sample_filter -*-
"""
Tests for docs/kafka.rst, and the filter that it shows.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

from kafka.protocol.consumer import FetchRequest
from kafka.protocol.producer import ProduceRequest
from twisted.trial.unittest import SynchronousTestCase

from lproxy.configfile import load, own_reference, refresh
from lproxy.protocols.kafka.codec.apis import FETCH, METADATA, PRODUCE
from lproxy.protocols.kafka.codec.header import RequestHead
from lproxy.protocols.kafka.filter import CLOSE, FORWARD, Answer, Context, decode, encode, make
from lproxy.protocols.kafka.metrics import KafkaMetrics
from lproxy.protocols.kafka.plugin import KafkaPlugin
from lproxy.protocols.kafka.protocol_errors import REASONS
from lproxy.protocols.kafka.settings import KafkaConfig

HERE = "tests.sample_filter.allow_list:TopicAllowList"


class AllowListTests(SynchronousTestCase):
    """Who may and who may not."""

    def setUp(self) -> None:
        self.filter = make(HERE, {"topics": ["orders"]})

    def ask(self, key: int, body: Any, version: int = 12) -> Any:
        head = RequestHead(100, key, version, 7, "a", 20)
        return self.filter.on_request(Context("kafka", "10.0.0.1", "1"), head, body)

    def produce(self, *names: str) -> Any:
        Topic = ProduceRequest.TopicProduceData
        Partition = Topic.PartitionProduceData
        topics = [Topic(name=name, partition_data=[Partition(index=3, records=b"r")]) for name in names]
        return ProduceRequest(transactional_id=None, acks=-1, timeout_ms=1, topic_data=topics)

    def fetch(self, *names: str) -> Any:
        Topic = FetchRequest.FetchTopic
        partitions = [Topic.FetchPartition(partition=3)]
        return FetchRequest(topics=[Topic(topic=name, partitions=partitions) for name in names])

    def test_allowed(self) -> None:
        """What is on the list passes, and so does what is not decoded."""
        self.assertEqual(FORWARD, self.ask(PRODUCE, self.produce("orders")))
        self.assertEqual(FORWARD, self.ask(FETCH, self.fetch("orders")))
        self.assertEqual(FORWARD, self.ask(METADATA, None))

    def test_refused(self) -> None:
        """A request with any other topic is answered with an error for each of its partitions, in every version."""
        for key, body, field in (
            (PRODUCE, self.produce("orders", "secret"), "partition_responses"),
            (FETCH, self.fetch("orders", "secret"), "partitions"),
        ):
            decision = self.ask(key, body)
            assert isinstance(decision, Answer)
            for version in range(4, 13):
                tagged = version >= (9 if key == PRODUCE else 12)
                frame = encode(decision, 7, version, tagged)
                told = decode("response", key, version, frame[8 + tagged :])
                errors = [one.error_code for topic in told.responses for one in getattr(topic, field)]
                self.assertEqual([29, 29], errors)

    def test_ids(self) -> None:
        """Topics without names are not let through."""
        self.assertEqual(CLOSE, self.ask(PRODUCE, self.produce(""), 13))

    def test_page(self) -> None:
        """The page has the filter as it is tested here."""
        root = Path(__file__).parents[3]
        source = (root / "tests/sample_filter/allow_list.py").read_text("utf-8")
        page = (root / "docs/kafka.rst").read_text("utf-8")
        filter = source[source.index("class TopicAllowList") : source.index("def refused_produce")].strip()
        for line in filter.splitlines():
            self.assertIn(line.strip(), page)


class PageTests(SynchronousTestCase):
    """docs/kafka.rst."""

    def setUp(self) -> None:
        root = Path(__file__).parents[3]
        self.page = (root / "docs/kafka.rst").read_text("utf-8")

    def test_reference(self) -> None:
        """Its settings are those there are; python -m lproxy.configfile --of ... --write docs/kafka.rst renews them."""
        self.assertEqual(refresh(self.page, own_reference(KafkaConfig)), self.page)

    def test_examples(self) -> None:
        """Every configuration on the page is one."""
        blocks = re.findall(r"code-block:: toml\n\n((?:    .*\n|\n)+)", self.page)
        self.assertEqual(7, len(blocks))
        for block in blocks:
            text = textwrap.dedent(block)
            if "\nmode" not in text and "[[listen]]" not in text:
                text = text.replace("[kafka]", '[kafka]\nmode = "gateway"\nbase_port = 19000', 1)
            text = text.replace("shop.kafka:TopicAllowList", HERE)
            problems = [str(problem) for problem in load(text, "page", {"kafka": KafkaPlugin().configure}).problems]
            self.assertEqual([], problems)

    def test_metrics(self) -> None:
        """The page has every family there is and no other, and every reason of a protocol error."""
        metrics = KafkaMetrics("outbound", "kafka", lambda: 0, lambda: 0)
        families = {family.name for family in metrics.families()}
        self.assertEqual([], [name for name in (*families, *REASONS) if f"``{name}``" not in self.page])
        self.assertEqual(set(), set(re.findall(r"``(kafka_\w+)``", self.page)) - families)
