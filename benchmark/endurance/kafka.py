# -*- test-case-name: tests.benchmark.endurance.test_kafka -*-
"""
A counting client of Kafka, and the broker that it gets to by lproxy's gateway: as much of the protocol as that takes.

The client asks the first port for Metadata, as all do, connects to the broker that is named there, and produces records
one after the other, each with a number that the broker gives back as its offset. A connection that has ended between
two requests is no loss: it asks for Metadata anew, as all do.
"""

import asyncio
import random
import struct
from asyncio import StreamReader, StreamWriter
from itertools import count

from benchmark.endurance.talk import Client, Talk, opened, pause
from benchmark.endurance.tally import Lost, Tally
from benchmark.process import HOST

#: API keys, and of each the newest version that is spoken here
PRODUCE, METADATA, API_VERSIONS = 0, 3, 18
VERSIONS = {PRODUCE: 3, METADATA: 1, API_VERSIONS: 0}
#: size; then API key, version, correlation id
SIZE, HEAD = struct.Struct(">i"), struct.Struct(">hhi")
NODE, TOPIC, CLIENT = 1, "counted", "endurance"
#: seconds between two requests; one answer in so many takes the broker so many seconds
THINK = 0.05
SLOW, DELAY = 10, 0.1

_numbers = count(1)


def string(text: str) -> bytes:
    """A string of the old versions."""
    return len(text).to_bytes(2, "big") + text.encode()


# the client


def producer(port: int) -> Client:
    """
    One.

    @param port: the gateway's first
    """

    async def client(tally: Tally) -> None:
        talk: Talk | None = None
        try:
            while True:
                if talk is None or talk.over:
                    if talk is not None:
                        talk.close()
                    talk = await _broker(tally, port)
                if talk is not None:
                    well = False
                    with tally.trial(talk.opened, talk.port) as trial:
                        await produce(talk, next(_numbers))
                    well = trial.well
                    if not well:
                        talk.close()
                        talk = None
                await pause(THINK)
        finally:
            if talk is not None:
                talk.close()

    return client


async def _broker(tally: Tally, port: int) -> Talk | None:
    """A connection to the broker, by way of Metadata."""
    talk = await opened(tally, port)
    if talk is None:
        return None
    found = 0
    try:
        with tally.trial(talk.opened, talk.port):
            found = await where(talk)
    finally:
        talk.close()
    return await opened(tally, found) if found else None


async def ask(talk: Talk, key: int, body: bytes) -> bytes:
    """The answer's body; raises L{Lost}."""
    correlation = next(_numbers)
    request = HEAD.pack(key, VERSIONS[key], correlation) + string(CLIENT) + body
    await talk.send(SIZE.pack(len(request)) + request)
    (size,) = SIZE.unpack(await talk.exactly(SIZE.size))
    answer = await talk.exactly(size)
    if SIZE.unpack_from(answer)[0] != correlation:
        raise Lost("another's answer")
    return answer[SIZE.size :]


async def where(talk: Talk) -> int:
    """The port of the broker, as clients are told it."""
    await ask(talk, API_VERSIONS, b"")
    answer = await ask(talk, METADATA, SIZE.pack(0))
    # how many brokers; of the first its id, host and port
    brokers, node, length = struct.unpack_from(">iih", answer)
    host = answer[10 : 10 + length].decode()
    if (brokers, node, host) != (1, NODE, HOST):
        raise Lost(f"{brokers} brokers, the first {node} at {host}")
    return int(SIZE.unpack_from(answer, 10 + length)[0])


async def produce(talk: Talk, number: int) -> None:
    """One record, or what stands for one: nobody on the way looks at it."""
    records = number.to_bytes(8, "big")
    body = b"\xff\xff" + struct.pack(">hii", -1, 30_000, 1) + string(TOPIC) + struct.pack(">iii", 1, 0, len(records))
    answer = await ask(talk, PRODUCE, body + records)
    at = 4 + len(string(TOPIC)) + 4
    partition, error, offset = struct.unpack_from(">ihq", answer, at)
    if (partition, error, offset) != (0, 0, number):
        raise Lost("another's answer" if not error else f"error {error}")


# the broker


async def broker(reader: StreamReader, writer: StreamWriter) -> None:
    """One connection's end."""
    port = writer.get_extra_info("sockname")[1]
    while True:
        request = await reader.readexactly(SIZE.unpack(await reader.readexactly(SIZE.size))[0])
        key, version, correlation = HEAD.unpack_from(request)
        if version > VERSIONS[key]:
            raise EOFError
        # after the client's id; lproxy is one, too
        at = HEAD.size + 2 + int.from_bytes(request[HEAD.size : HEAD.size + 2], "big")
        if not random.randrange(SLOW):
            await asyncio.sleep(DELAY)
        answer = SIZE.pack(correlation) + answered(key, request[at:], port)
        writer.write(SIZE.pack(len(answer)) + answer)


def answered(key: int, body: bytes, port: int) -> bytes:
    """What a broker at C{port} says to that."""
    if key == API_VERSIONS:
        return struct.pack(">hi", 0, len(VERSIONS)) + b"".join(struct.pack(">hhh", *one) for one in _ranges())
    if key == METADATA:
        brokers = struct.pack(">ii", 1, NODE) + string(HOST) + struct.pack(">i", port) + b"\xff\xff"
        return brokers + struct.pack(">ii", NODE, 0)
    number = int.from_bytes(body[-8:], "big")
    return SIZE.pack(1) + string(TOPIC) + struct.pack(">iihqqi", 1, 0, 0, number, -1, 0)


def _ranges() -> list[tuple[int, int, int]]:
    return [(key, newest if key == PRODUCE else 0, newest) for key, newest in VERSIONS.items()]
