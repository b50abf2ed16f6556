"""
How long does a Kafka gateway's rewriting of a large answer hold the reactor? C{python -m benchmark.rewriting} says it.
"""

import time

from benchmark.process import HOST
from lproxy.protocols.kafka.filter import Context
from lproxy.protocols.kafka.metrics import KafkaMetrics
from lproxy.protocols.kafka.settings import read
from lproxy.protocols.kafka.talk.request import Pending


def rewriting(partitions: int = 12_000, times: int = 200) -> float:
    """Milliseconds for which a gateway's rewriting of so large an answer to Metadata holds the reactor, at most."""
    from kafka.protocol.metadata import MetadataResponse

    from lproxy.protocols.kafka.codec.apis import METADATA
    from lproxy.protocols.kafka.gateway.policy import GatewayPolicy
    from lproxy.protocols.kafka.talk.answers import Answers
    from lproxy.protocols.kafka.talk.conversation import Conversation
    from lproxy.protocols.kafka.talk.quota import Quotas
    from lproxy.protocols.kafka.talk.rules import Rules

    class Cluster:
        def learn(self, *arguments: object, **more: object) -> None: ...

        def locate(self, node: int, ours: str) -> tuple[str, int]:
            return ours, 19_000 + node

    Topic = MetadataResponse.MetadataResponseTopic
    Partition = Topic.MetadataResponsePartition
    parts = [
        Partition(partition_index=n, leader_id=1, replica_nodes=[1, 2, 3], isr_nodes=[1, 2]) for n in range(partitions)
    ]
    brokers = [MetadataResponse.MetadataResponseBroker(node_id=n, host=f"kafka-{n}", port=9092) for n in (1, 2, 3)]
    response = MetadataResponse(
        brokers=brokers, cluster_id="c", controller_id=1, topics=[Topic(name="t", partitions=parts)]
    )
    response._header = None
    body = b"\0" + response.encode(version=9)
    frame = (4 + len(body)).to_bytes(4) + (7).to_bytes(4) + body
    cluster, config = Cluster(), read({"mode": "gateway", "base_port": 19_000})
    metrics = KafkaMetrics("outbound", "bench", lambda: 0, lambda: 0)
    policy = GatewayPolicy(config, metrics, cluster)  # type: ignore[arg-type]
    rules = Rules(config, metrics, Quotas({}), "", policy.decide)
    worst = 0.0
    for _ in range(times):
        talk = Conversation(rules, None, time.time, Context("bench", HOST, "", local=HOST))  # type: ignore[arg-type]
        talk.queue.append(Pending(rules.api(METADATA << 16 | 9), 7, 0.0))
        answers = Answers(talk)
        for at in range(0, len(frame), 65_536):
            began = time.perf_counter()
            answers.feed(frame[at : at + 65_536])
            worst = max(worst, time.perf_counter() - began)
    return worst * 1e3


if __name__ == "__main__":
    print(f"an answer to Metadata with 12,000 partitions holds the reactor for {rewriting():.2f} ms at most")
