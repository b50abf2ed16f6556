# -*- test-case-name: tests.benchmark.test_reload -*-
"""
What does a reload cost those who are served meanwhile? C{python -m benchmark.reload} says it.

One proxy with a thousand services, on the first core; on the last an upstream, and, in a process of their own, clients
that count: each keeps its connection for as long as it may, and asks all the time. The file is another for each reload,
which is asked for by POST, one after the other. Told are the seconds that one takes, the slowest requests of those that
were under way while there was one beside those while there was none, and how many were not answered, or not with 200.

The reactor is held no longer than the slowest request of all takes, whatever else that waited for.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.request import Request, urlopen

from benchmark.clients.ask import LOST
from benchmark.process import HOST, PROJECT, client_command, free_ports, on_core, running

#: seconds before the first reload, and between two
QUIET, PAUSE = 3.0, 0.5
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


@contextmanager
def asking(port: int, told: Path) -> Iterator[None]:
    """Clients at work, who write to C{told}."""
    with open(told, "w") as out:
        clients = subprocess.Popen(client_command("ask", str(port)), cwd=PROJECT, stdin=subprocess.PIPE, stdout=out)
    try:
        yield
    finally:
        clients.communicate()


async def measure(services: int, reloads: int, folder: Path) -> list[str]:
    """Run it all."""
    upstream = await asyncio.start_server(serve, HOST, 0)
    web, admin = free_ports(2)
    ports = (web, admin, upstream.sockets[0].getsockname()[1])
    # before anything is measured: we have the core together with the clients
    texts = [config(ports, services, n) for n in range(reloads + 1)]
    file, asked = folder / "lproxy.toml", folder / "asked"
    file.write_text(texts[0])
    command = [sys.executable, "-m", "twisted", "lproxy", "--config", str(file)]
    cores = os.sched_getaffinity(0)
    spans: list[tuple[float, float]] = []
    with running("lproxy", command, min(cores), folder / "lproxy.log", [web, admin]), on_core(max(cores)):
        with asking(web, asked):
            await asyncio.sleep(QUIET)
            for text in texts[1:]:
                file.write_text(text)
                begin = time.monotonic()
                await asyncio.to_thread(reload, admin)
                spans.append((begin, time.monotonic()))
                await asyncio.sleep(PAUSE)
    upstream.close()
    return told(seen(asked.read_text()), spans)


def seen(text: str) -> list[Asked]:
    """What L{benchmark.clients.ask} tells."""
    rows = [line.split() for line in text.splitlines()]
    return [Asked(float(at), None if took == LOST else float(took)) for at, took in rows]


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
