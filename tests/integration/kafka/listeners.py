# -*- test-case-name: tests.integration.test_kafka_wire -*-
"""
What the Kafka listeners of a running proxy have counted.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import TestCase

from lproxy.protocols.kafka.factory import KafkaFactory
from lproxy.protocols.kafka.plugin import KafkaPlugin


def factories(case: TestCase, asks: bool = True) -> dict[str, KafkaFactory]:
    """
    Those that are made while C{case} runs, the latest by the name of each listener.

    @param asks: whether gateways ask a seed who their brokers are
    """
    made: dict[str, KafkaFactory] = {}
    make = KafkaPlugin.factory

    def factory(plugin: KafkaPlugin, runtime: Any, config: Any) -> KafkaFactory:
        made[runtime.listen.name] = make(plugin, runtime, config)
        if not asks:
            made[runtime.listen.name].seeds = None
        return made[runtime.listen.name]

    case.patch(KafkaPlugin, "factory", factory)
    return made
