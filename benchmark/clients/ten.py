"""
Endpoints of one service, each at a port of its own, in one process: all answer at once, until one is told to be slow.

C{/slow/500} has the endpoint that is asked for it take 500 ms from then on, C{/asked} answers how often it was asked
for anything else since it was asked that.
"""

import argparse
import asyncio
from functools import partial

from benchmark.clients.common import HOST


class Endpoint(asyncio.Protocol):
    """One connection with one of them; requests come one after the other, without bodies."""

    def __init__(self, place: "Place") -> None:
        self.place = place
        self.buffer = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
            delay, body = self.place.answer(head.split(b" ", 2)[1].decode("ascii", "replace"))
            answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
            assert self.transport is not None
            if delay:
                asyncio.get_running_loop().call_later(delay, self.transport.write, answer)
            else:
                self.transport.write(answer)


class Place:
    """
    One endpoint.

    @ivar delay: seconds that it takes
    @ivar asked: how often it was asked
    """

    def __init__(self) -> None:
        self.delay = 0.0
        self.asked = 0

    def answer(self, path: str) -> tuple[float, bytes]:
        """The seconds to wait, and what to say."""
        if path.startswith("/slow/"):
            self.delay = int(path.removeprefix("/slow/")) / 1000
            return 0.0, b"slow"
        if path == "/asked":
            asked, self.asked = self.asked, 0
            return 0.0, b"%d" % asked
        self.asked += 1
        return self.delay, b"01234567890123456789"


async def serve(ports: list[int]) -> None:
    """At C{ports}, until the process is ended."""
    loop = asyncio.get_running_loop()
    for port in ports:
        await loop.create_server(partial(Endpoint, Place()), HOST, port, backlog=1024)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=f"Endpoints at ports of {HOST}.")
    parser.add_argument("ports", type=int, nargs="+")
    asyncio.run(serve(parser.parse_args().ports))


if __name__ == "__main__":
    main()
