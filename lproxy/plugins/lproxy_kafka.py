# -*- test-case-name: tests.protocols.kafka.test_plugin -*-
"""
The provider of the kafka protocol.
"""

from lproxy.protocols.kafka.plugin import KafkaPlugin

kafka = KafkaPlugin()
