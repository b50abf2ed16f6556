# -*- test-case-name: tests.benchmark.endurance.test_streams -*-
"""
Counting clients of byte streams: TCP, with connections that live long and some that hardly live at all, and WebSockets.

What is said comes back. Each message is counted, and at the end each connection is closed from our side, and the other
has to follow. A long one lives for less than a drain may last: a takeover never is its end.
"""

import asyncio
import os
import random
import ssl
import time

from benchmark.endurance.talk import Client, Talk, opened, pause
from benchmark.endurance.tally import Lost, Tally

#: seconds between two messages, and bytes of one at most
THINK, LARGEST = 0.05, 4_000
#: RFC 6455: FIN and the opcodes, and that a length of 16 bits follows
BINARY, CLOSE, EXTENDED, MASKED = 0x82, 0x88, 126, 0x80

UPGRADE = (
    b"GET /socket HTTP/1.1\r\nHost: web.local\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def tcp(port: int, life: float) -> Client:
    """
    One whose connections live for up to so many seconds, and say one thing after the other.

    @param life: 0: each says one
    """

    async def converse(tally: Tally, talk: Talk, until: float) -> bool:
        well = True
        while well:
            said = os.urandom(random.randrange(1, LARGEST))
            with tally.trial(talk.opened, talk.port) as trial:
                await talk.send(said)
                if await talk.exactly(len(said)) != said:
                    raise Lost("something else came back")
            well = trial.well
            if time.monotonic() >= until:
                break
            await pause(THINK)
        return well

    async def client(tally: Tally) -> None:
        while True:
            talk = await opened(tally, port)
            if talk is not None:
                try:
                    if await converse(tally, talk, talk.opened + random.uniform(0.2, 1.0) * life):
                        await finish(tally, talk)
                finally:
                    talk.close()
            await pause(THINK)

    return client


async def finish(tally: Tally, talk: Talk) -> None:
    """Say that it is enough, and hear the same."""
    with tally.trial(talk.opened, talk.port):
        talk.writer.write_eof()
        if await talk.rest():
            raise Lost("something came back at the end")


def websocket(port: int, life: float, context: ssl.SSLContext | None = None) -> Client:
    """The same by WebSockets."""

    async def client(tally: Tally) -> None:
        while True:
            talk = await opened(tally, port, context)
            if talk is not None:
                try:
                    await converse(tally, talk, talk.opened + random.uniform(0.2, 1.0) * life)
                finally:
                    talk.close()
            await pause(THINK)

    async def converse(tally: Tally, talk: Talk, until: float) -> None:
        with tally.trial(talk.opened, talk.port) as trial:
            await talk.send(UPGRADE)
            first = (await talk.until(b"\r\n\r\n")).partition(b"\r\n")[0]
            if not first.startswith(b"HTTP/1.1 101"):
                raise Lost(f"answered {first[9:].decode('latin-1')}")
        while trial.well and time.monotonic() < until:
            await pause(THINK)
            said = os.urandom(random.randrange(1, LARGEST))
            with tally.trial(talk.opened, talk.port) as trial:
                await talk.send(frame(BINARY, said))
                if await unframed(talk) != (BINARY, said):
                    raise Lost("something else came back")
        if trial.well:
            with tally.trial(talk.opened, talk.port):
                await talk.send(frame(CLOSE, b"\x03\xe8"))
                if await unframed(talk) != (CLOSE, b"\x03\xe8"):
                    raise Lost("something else came back")

    return client


def frame(kind: int, payload: bytes, mask: bytes = b"") -> bytes:
    """A frame of less than 64 KiB (RFC 6455, 5.2); clients mask theirs."""
    mask = mask or os.urandom(4)
    length = len(payload)
    size = bytes([MASKED | length]) if length < EXTENDED else bytes([MASKED | EXTENDED]) + length.to_bytes(2, "big")
    return bytes([kind]) + size + mask + masked(payload, mask)


def masked(payload: bytes, mask: bytes) -> bytes:
    """RFC 6455, 5.3: there and back."""
    length = len(payload)
    whole = int.from_bytes((mask * (length // 4 + 1))[:length], "big")
    return (int.from_bytes(payload, "big") ^ whole).to_bytes(length, "big")


async def unframed(talk: Talk) -> tuple[int, bytes]:
    """A server's frame, which is not masked: kind and payload."""
    kind, length = await talk.exactly(2)
    if length == EXTENDED:
        length = int.from_bytes(await talk.exactly(2), "big")
    return kind, await talk.exactly(length)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server's end of a WebSocket, from the first frame on: what is said comes back."""
    kind = 0
    while kind != CLOSE:
        kind, length = await reader.readexactly(2)
        length -= MASKED
        if length == EXTENDED:
            length = int.from_bytes(await reader.readexactly(2), "big")
        mask = await reader.readexactly(4)
        payload = masked(await reader.readexactly(length), mask)
        size = bytes([length]) if length < EXTENDED else bytes([EXTENDED]) + length.to_bytes(2, "big")
        writer.write(bytes([kind]) + size + payload)
