# -*- test-case-name: tests.benchmark.endurance.test_http1 -*-
"""
Counting clients of HTTP/1.1: connections that are kept, and one for each request, in clear and over TLS.

Each request is another, and so is its answer. Every tenth is a slow upload, so that whatever happens meets one that is
under way. A kept connection that was idle for half a second is not used again, as other clients' own limits have it:
who ends may close it a second later (RFC 9112, 9.3.1).
"""

import asyncio
import random
import ssl
from itertools import count

from benchmark.endurance.talk import Client, Talk, opened, pause
from benchmark.endurance.tally import Lost, Tally

#: seconds between two requests of a client
THINK = 0.03
#: seconds for which a kept connection is good
KEEP = 0.5
#: one in so many is a slow upload, in pieces
SLOW, PIECES, PIECE = 10, 8, b"x" * 4_000

_numbers = count(1)


def kept(port: int, context: ssl.SSLContext | None = None) -> Client:
    """One whose connections are kept for as long as both sides want."""

    async def client(tally: Tally) -> None:
        talk: Talk | None = None
        try:
            while True:
                if talk is not None and (talk.over or talk.idle() > KEEP):
                    talk.close()
                    talk = None
                talk = talk or await opened(tally, port, context)
                if talk is not None and not await request(tally, talk, True):
                    talk.close()
                    talk = None
                await pause(THINK)
        finally:
            if talk is not None:
                talk.close()

    return client


def fresh(port: int, context: ssl.SSLContext | None = None) -> Client:
    """One that opens a connection for each request."""

    async def client(tally: Tally) -> None:
        while True:
            talk = await opened(tally, port, context)
            if talk is not None:
                try:
                    await request(tally, talk, False)
                finally:
                    talk.close()
            await pause(THINK)

    return client


async def request(tally: Tally, talk: Talk, keep: bool) -> bool:
    """Make one; whether the connection is good for another."""
    path = f"/{next(_numbers)}"
    ends = True
    with tally.trial(talk.opened, talk.port) as trial:
        if random.randrange(SLOW):
            await talk.send(head("GET", path, keep))
            size = 0
        else:
            size = PIECES * len(PIECE)
            await talk.send(head("POST", path, keep, size))
            for _ in range(PIECES):
                await talk.send(PIECE)
                await asyncio.sleep(THINK)
        ends = await answer(talk, f"{path} {size}".encode())
    return trial.well and keep and not ends


def head(method: str, path: str, keep: bool, size: int = 0) -> bytes:
    """A request's."""
    more = f"Content-Length: {size}\r\n" if size else ""
    more += "" if keep else "Connection: close\r\n"
    return f"{method} {path} HTTP/1.1\r\nHost: web.local\r\n{more}\r\n".encode()


async def answer(talk: Talk, expected: bytes) -> bool:
    """Read it, and look closely; whether the connection ends with it. Raises L{Lost}."""
    lines = (await talk.until(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
    if not lines[0].startswith("http/1.1 200"):
        raise Lost(f"answered {lines[0][9:]}")
    fields = dict(line.split(": ", 1) for line in lines[1:] if line)
    if await talk.exactly(int(fields["content-length"])) != expected:
        raise Lost("another's answer")
    return fields.get("connection") == "close"
