# -*- test-case-name: tests.benchmark.endurance.test_talk -*-
"""
What all counting clients have in common: a connection that knows its own port, and pauses.
"""

import asyncio
import random
import socket
import ssl
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from benchmark.endurance.tally import Lost, Tally
from benchmark.process import HOST

#: seconds for an answer: both workers may have been killed, and one that dies again and again is started late
PATIENCE = 40.0
#: and until a connection is tried again
REFUSED = 0.1

#: a client: it talks until it is cancelled
Client = Callable[[Tally], Coroutine[Any, Any, None]]


@dataclass
class Talk:
    """
    A client's connection.

    @ivar port: the client's own
    @ivar opened: when that was begun, in seconds of the monotonic clock
    @ivar used: when it was last used
    """

    reader: StreamReader
    writer: StreamWriter
    port: int
    opened: float
    used: float

    @property
    def over(self) -> bool:
        """Whether it is known that the other end has closed it."""
        return self.reader.at_eof() or self.writer.is_closing() or self.reader.exception() is not None

    def idle(self) -> float:
        """Seconds for which it was not used."""
        return time.monotonic() - self.used

    async def send(self, data: bytes) -> None:
        """Raises OSError."""
        self.writer.write(data)
        await self.writer.drain()

    async def exactly(self, size: int) -> bytes:
        """So many bytes; raises L{Lost} where there are fewer."""
        return await self._had(self.reader.readexactly(size))

    async def until(self, mark: bytes) -> bytes:
        """All up to C{mark}; raises L{Lost} likewise."""
        return await self._had(self.reader.readuntil(mark))

    async def _had(self, reading: Coroutine[Any, Any, bytes]) -> bytes:
        try:
            async with asyncio.timeout(PATIENCE):
                data = await reading
        except asyncio.IncompleteReadError as e:
            raise Lost("closed in an answer" if e.partial else "closed before an answer") from None
        except TimeoutError:
            raise Lost("no answer in time") from None
        self.used = time.monotonic()
        return data

    async def rest(self) -> bytes:
        """What comes until the other end closes."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await self.reader.read()
        except TimeoutError:
            raise Lost("not closed in time") from None

    def close(self) -> None:
        """Let go of it."""
        self.writer.close()


async def opened(tally: Tally, port: int, context: ssl.SSLContext | None = None) -> Talk | None:
    """Open one, and count where that is not possible."""
    begun, own = time.monotonic(), 0
    try:
        async with asyncio.timeout(PATIENCE):
            sock = await _connected(port)
            own = sock.getsockname()[1]
            name = "localhost" if context is not None else None
            reader, writer = await asyncio.open_connection(sock=sock, ssl=context, server_hostname=name)
    except (OSError, EOFError) as e:
        tally.begun += 1
        tally.lose(f"connecting: {type(e).__name__}", own, begun)
        await asyncio.sleep(REFUSED)
        return None
    return Talk(reader, writer, own, begun, time.monotonic())


async def _connected(port: int) -> socket.socket:
    """A socket; raises OSError. Whoever makes a transport of it closes it with that."""
    sock = socket.socket()
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (HOST, port))
    except BaseException:
        sock.close()
        raise
    return sock


async def pause(seconds: float) -> None:
    """About so long."""
    await asyncio.sleep(random.uniform(0.5, 1.5) * seconds)
