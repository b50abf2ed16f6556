# -*- test-case-name: tests.benchmark.test_reload -*-
"""
What does a reload cost those who are served meanwhile? C{python -m benchmark.reload} says it.

One proxy with a thousand services, on its first core; on the other an upstream, and clients that count: each keeps its
connection for as long as it may, and asks all the time. The file is another for each reload, which is asked for by
POST, one after the other. Told are the seconds that one takes, the slowest requests of those that were under way while
there was one beside those while there was none, and how many were not answered, or not with 200.

The reactor is held no longer than the slowest request of all takes, whatever else that waited for.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.request import Request, urlopen

from benchmark.process import HOST, free_ports, running

#: seconds before the first reload, and between two
QUIET, PAUSE = 3.0, 0.5
CLIENTS = 8
#: seconds between two requests of a client: what one core serves with ease
THINK = 0.005
ASK = b"GET / HTTP/1.1\r\nHost: web.local\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

CONFIG = """
[admin]
address = "{host}:{admin}"
reload = true
[limits]
in_flight = {limit}
[[listen]]
name = "web"
address = "{host}:{web}"
protocol = "http"
[services."web.local:80"]
endpoints = ["{host}:{upstream}"]
"""


class Asked(NamedTuple):
    """A request: when it was sent, in seconds, and how long its answer took; C{None}: there was none, or another."""

    at: float
    took: float | None


def config(ports: Sequence[int], services: int, n: int) -> str:
    """The C{n}th file: of each of its services one endpoint is another than in the one before."""
    web, admin, upstream = ports
    text = CONFIG.format(host=HOST, web=web, admin=admin, upstream=upstream, limit=1_000 + n)
    return text + "".join(
        f'[services."s{i}.local:80"]\nendpoints = ["10.0.0.1:{1_000 + i}", "10.1.{n % 250}.1:{1_000 + i}"]\n'
        for i in range(services)
    )


def quantile(values: Sequence[float], q: float) -> float:
    """Of those, sorted or not; 0 of none."""
    return sorted(values)[min(int(len(values) * q), len(values) - 1)] if values else 0.0


def told(asked: Sequence[Asked], reloads: Sequence[tuple[float, float]]) -> list[str]:
    """
    Lines of what there is to say.

    @param reloads: when each began and ended
    """
    during: list[float] = []
    quiet: list[float] = []
    for one in asked:
        if one.took is not None:
            among = any(one.at < end and one.at + one.took > begin for begin, end in reloads)
            (during if among else quiet).append(one.took)
    lost = sum(1 for one in asked if one.took is None)
    took = [end - begin for begin, end in reloads]
    lines = [f"{len(reloads)} reloads, {quantile(took, 0.5):.3f} s each, the longest {max(took, default=0.0):.3f} s"]
    for name, some in (("without a reload", quiet), ("while there was one", during)):
        times = ", ".join(f"{word} {quantile(some, q) * 1000:.2f} ms" for word, q in (("p50", 0.5), ("p99", 0.99)))
        lines.append(f"{len(some)} requests {name}: {times}, at most {max(some, default=0.0) * 1000:.1f} ms")
    return [*lines, f"{lost} requests lost"]


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The upstream."""
    try:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(ANSWER)
    except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
        writer.close()


async def client(port: int, asked: list[Asked]) -> None:
    """Ask until cancelled."""
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    try:
        while True:
            reader, writer = streams = streams or await asyncio.open_connection(HOST, port)
            at = time.perf_counter()
            try:
                writer.write(ASK)
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(2)
                took = time.perf_counter() - at if head.startswith(b"HTTP/1.1 200") else None
            except (OSError, asyncio.IncompleteReadError):
                head, took = b"connection: close", None
            asked.append(Asked(at, took))
            if b"connection: close" in head.lower():
                writer.close()
                streams = None
            await asyncio.sleep(THINK)
    finally:
        if streams is not None:
            streams[1].close()


async def measure(services: int, reloads: int, folder: Path) -> list[str]:
    """Run it all."""
    upstream = await asyncio.start_server(serve, HOST, 0)
    web, admin = free_ports(2)
    ports = (web, admin, upstream.sockets[0].getsockname()[1])
    file = folder / "lproxy.toml"
    file.write_text(config(ports, services, 0))
    command = [sys.executable, "-m", "twisted", "lproxy", "--config", str(file)]
    asked: list[Asked] = []
    spans: list[tuple[float, float]] = []
    with running("lproxy", command, 0, folder / "lproxy.log", [web, admin]):
        clients = [asyncio.create_task(client(web, asked)) for _ in range(CLIENTS)]
        await asyncio.sleep(QUIET)
        for n in range(1, reloads + 1):
            file.write_text(config(ports, services, n))
            begin = time.perf_counter()
            await asyncio.to_thread(reload, admin)
            spans.append((begin, time.perf_counter()))
            await asyncio.sleep(PAUSE)
        for one in clients:
            one.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
    upstream.close()
    return told(asked, spans)


def reload(admin: int) -> None:
    """Have the proxy read its file; raises urllib's HTTPError where it refuses that."""
    with urlopen(Request(f"http://{HOST}:{admin}/reload", method="POST"), timeout=30) as answer:
        answer.read()


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmark.reload", description="What reloads cost.")
    parser.add_argument("--services", type=int, default=1_000, help="how many there are (default: %(default)s)")
    parser.add_argument("--reloads", type=int, default=20, help="how many (default: %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for line in asyncio.run(measure(arguments.services, arguments.reloads, Path(folder))):
            print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
