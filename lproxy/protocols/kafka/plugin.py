# -*- test-case-name: tests.protocols.kafka.test_plugin -*-
"""
Kafka as a plugin, found like everybody's.
"""

from __future__ import annotations

from typing import Any

from zope.interface import implementer

import lproxy
from lproxy.api import Detector, IProtocolPlugin, Runtime
from lproxy.protocols.kafka.detect import detect
from lproxy.protocols.kafka.factory import KafkaFactory
from lproxy.protocols.kafka.settings import KafkaConfig, read


@implementer(IProtocolPlugin)
class KafkaPlugin:
    """Provides C{kafka}."""

    name = "kafka"
    version = lproxy.__version__
    detector: Detector | None = staticmethod(detect)

    def configure(self, table: dict[str, Any]) -> KafkaConfig:
        """Its settings; see L{lproxy.protocols.kafka.settings}."""
        return read(table)

    def factory(self, runtime: Runtime, config: KafkaConfig) -> KafkaFactory:
        """Sessions for one listener."""
        return KafkaFactory(runtime, config)
