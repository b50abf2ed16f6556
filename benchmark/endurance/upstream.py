# -*- test-case-name: tests.benchmark.endurance.test_upstream -*-
"""
What stands behind the proxy, in a process of its own: HTTP/1.1 that says what it was asked, WebSockets and TCP that say
the same, and a broker of Kafka's. C{python -m benchmark.endurance.upstream WEB ECHO KAFKA} are its ports; gRPC's is
L{benchmark.clients.grpc}.
"""

import asyncio
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable

from benchmark.endurance import kafka, streams
from benchmark.process import HOST

Serve = Callable[[StreamReader, StreamWriter], Awaitable[None]]


async def web(reader: StreamReader, writer: StreamWriter) -> None:
    """HTTP/1.1; a request is answered with its path and its body's length."""
    while True:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        path = lines[0].split(" ")[1]
        fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
        if fields.get("upgrade") == "websocket":
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            await streams.echo(reader, writer)
            return
        size = int(fields.get("content-length", 0))
        if fields.get("transfer-encoding") == "chunked":
            while chunk := int(await reader.readuntil(b"\r\n"), 16):
                await reader.readexactly(chunk + 2)
                size += chunk
            await reader.readuntil(b"\r\n")
        else:
            await reader.readexactly(size)
        body = f"{path} {size}".encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


async def echo(reader: StreamReader, writer: StreamWriter) -> None:
    """TCP."""
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


def contained(serve: Serve) -> Callable[[StreamReader, StreamWriter], Awaitable[None]]:
    """A connection that ends is nobody's fault."""

    async def served(reader: StreamReader, writer: StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (OSError, EOFError, ValueError, LookupError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    return served


async def main(ports: list[int]) -> None:
    """Serve until killed."""
    serving = [
        await asyncio.start_server(contained(serve), HOST, port, backlog=1_024)
        for serve, port in zip((web, echo, kafka.broker), ports, strict=True)
    ]
    await asyncio.gather(*(server.serve_forever() for server in serving))


if __name__ == "__main__":
    asyncio.run(main([int(port) for port in sys.argv[1:]]))
