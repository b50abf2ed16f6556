# -*- test-case-name: tests.benchmark.endurance.test_kafka -*-
"""
L{benchmark.endurance.kafka}: a client and a broker, which kafka-python understands, too.
"""

from asyncio import StreamReader, StreamWriter

from kafka.protocol.metadata import ApiVersionsResponse, MetadataResponse
from kafka.protocol.producer import ProduceResponse
from twisted.trial.unittest import SynchronousTestCase

from benchmark.endurance import kafka
from tests.benchmark.endurance.talking import counted, one_lost


class KafkaTests(SynchronousTestCase):
    """Both ends."""

    def setUp(self) -> None:
        self.patch(kafka, "THINK", 0.0)
        self.patch(kafka, "DELAY", 0.001)

    def test_done(self) -> None:
        """The broker is found by Metadata, and each record is given back its number."""
        self.assertEqual([], counted(kafka.producer, kafka.broker, lambda tally: tally.done >= 20).losses)

    def test_ends(self) -> None:
        """A connection that ends between two requests is no loss; one that ends before a response is."""

        async def serve(reader: StreamReader, writer: StreamWriter) -> None:
            size = await reader.readexactly(4)
            request = await reader.readexactly(int.from_bytes(size, "big"))
            if request[:2] == b"\0\0":
                return
            other = StreamReader()
            other.feed_data(size + request)
            await kafka.broker(_Both(other, reader), writer)  # type: ignore[arg-type]

        self.assertEqual("closed before an answer", one_lost(kafka.producer, serve))

    def test_answers(self) -> None:
        """They are what kafka-python takes them for."""
        versions = ApiVersionsResponse.decode(kafka.answered(kafka.API_VERSIONS, b"", 7), version=0)
        self.assertEqual(3, len(versions.api_keys))
        metadata = MetadataResponse.decode(kafka.answered(kafka.METADATA, b"", 7), version=1)
        self.assertEqual([(1, "127.0.0.1", 7)], [(one.node_id, one.host, one.port) for one in metadata.brokers])
        produced = ProduceResponse.decode(kafka.answered(kafka.PRODUCE, (77).to_bytes(8, "big"), 7), version=3)
        self.assertEqual(77, produced.responses[0].partition_responses[0].base_offset)


class _Both:
    """A reader of what was read already, and then of what comes."""

    def __init__(self, first: StreamReader, then: StreamReader) -> None:
        self._first, self._then = first, then

    async def readexactly(self, size: int) -> bytes:
        if len(self._first._buffer):  # type: ignore[attr-defined]
            return await self._first.readexactly(size)
        return await self._then.readexactly(size)
