"""
A counting client and a server that does what a test wants, in one loop.
"""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable

from benchmark.endurance.talk import Client
from benchmark.endurance.tally import Tally
from benchmark.endurance.upstream import contained
from benchmark.process import HOST

Serve = Callable[[StreamReader, StreamWriter], Awaitable[None]]
#: seconds for a client to count what it is to count
PATIENCE = 30.0


def counted(make: Callable[[int], Client], serve: Serve, enough: Callable[[Tally], bool]) -> Tally:
    """What the client that C{make} makes for a port has counted when that is C{enough}."""

    async def run() -> Tally:
        tally = Tally("x")
        async with await asyncio.start_server(contained(serve), HOST, 0) as server:
            client = asyncio.create_task(make(server.sockets[0].getsockname()[1])(tally))
            async with asyncio.timeout(PATIENCE):
                while not enough(tally):
                    assert not client.done(), client
                    await asyncio.sleep(0.001)
            client.cancel()
            await asyncio.gather(client, return_exceptions=True)
        return tally

    return asyncio.run(run())


def one_lost(make: Callable[[int], Client], serve: Serve) -> str:
    """Why a client has lost what it has lost first."""
    return counted(make, serve, lambda tally: bool(tally.losses)).losses[0].why


def saying(data: bytes, after: bytes) -> Serve:
    """A server that says C{data}, and ends, once it has heard C{after}, or, where that is empty, anything."""

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        await (reader.readuntil(after) if after else reader.read(65_536))
        writer.write(data)

    return serve
