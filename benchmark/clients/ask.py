# -*- test-case-name: tests.benchmark.clients.test_ask -*-
"""
Clients that ask over kept connections, with a pause after each answer, and tell of every request.

For what disturbs a proxy now and then: how long those requests took that were under way meanwhile, beside the others.
They end when there is something, or the end, on their standard input. Each line of the output is a request: when it was
sent, in seconds of the machine's monotonic clock, and how many its answer took; or C{lost}.
"""

import argparse
import asyncio
import gc
import sys
import time
from typing import TextIO

from benchmark.process import HOST

ASK = b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n"
LOST = "lost"


async def client(port: int, ask: bytes, think: float, out: TextIO) -> None:
    """Ask until cancelled."""
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    try:
        while True:
            at = time.monotonic()
            try:
                reader, writer = streams = streams or await asyncio.open_connection(HOST, port)
                at = time.monotonic()
                writer.write(ask)
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(2)
                took = f"{time.monotonic() - at:.6f}" if head.startswith(b"HTTP/1.1 200") else LOST
            except (OSError, asyncio.IncompleteReadError):
                head, took = b"connection: close", LOST
            out.write(f"{at:.6f} {took}\n")
            if b"connection: close" in head.lower() and streams is not None:
                streams[1].close()
                streams = None
            await asyncio.sleep(think)
    finally:
        if streams is not None:
            streams[1].close()


async def run(port: int, host: str, clients: int, think: float) -> None:
    """So many, until there is input, or its end."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(sys.stdin, ended.set)
    # a pause of ours would be one of the proxy's
    gc.disable()
    ask = ASK % host.encode()
    asking = [asyncio.create_task(client(port, ask, think, sys.stdout)) for _ in range(clients)]
    await ended.wait()
    for one in asking:
        one.cancel()
    await asyncio.gather(*asking, return_exceptions=True)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmark.clients.ask", description="Clients that tell of all.")
    parser.add_argument("port", type=int, help="of the proxy, on this machine")
    parser.add_argument("--host", default="web.local", help="whom they ask for (default: %(default)s)")
    parser.add_argument("--clients", type=int, default=8, help="how many (default: %(default)s)")
    parser.add_argument("--think", type=float, default=0.005, help="seconds between two requests of one")
    arguments = parser.parse_args()
    asyncio.run(run(arguments.port, arguments.host, arguments.clients, arguments.think))
    return 0


if __name__ == "__main__":
    sys.exit(main())
