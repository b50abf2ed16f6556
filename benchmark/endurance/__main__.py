# -*- test-case-name: tests.benchmark.endurance.test_main -*-
"""
C{python -m benchmark.endurance}: run it, and say what was lost.
"""

import argparse
import asyncio
import logging
import os
import random
import ssl
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from benchmark import certificates, leaks
from benchmark.endurance import http1, http2, kafka, streams
from benchmark.endurance.actions import Amount, Chaos
from benchmark.endurance.census import Census, settled
from benchmark.endurance.proxy import DRAIN, Proxy
from benchmark.endurance.report import Row, lines, missed
from benchmark.endurance.talk import Client
from benchmark.endurance.tally import Tally
from benchmark.process import client_command, free_ports, running

#: what CI has time for
TINY = Amount(quiet=1.0, reloads=10, takeovers=0, kills=1, changes=0, full=0.5, mixed=0.0)
#: clients of each kind
EACH = 2
#: seconds until idle connections to upstreams are let go of, and for everything else to be
IDLE, SETTLE = 2.5, DRAIN + 10.0
#: of a drain, how much of it connections live that must not notice
LIFE = 0.7


def clients(ports: dict[str, int], trusted: list[certificates.Files]) -> dict[str, Client]:
    """One of each kind."""
    secure, secure_h2 = context(trusted, "http/1.1"), context(trusted, "h2")
    life = LIFE * DRAIN
    return {
        "HTTP/1.1, kept": http1.kept(ports["web"]),
        "HTTP/1.1, new": http1.fresh(ports["web"]),
        "HTTP/1.1, TLS": http1.kept(ports["tls"], secure),
        "HTTP/2": http2.calls(ports["web"]),
        "HTTP/2, TLS": http2.calls(ports["tls"], context=secure_h2),
        "gRPC": http2.calls(ports["grpc"], grpc=True),
        "WebSocket": streams.websocket(ports["web"], life),
        "WebSocket, TLS": streams.websocket(ports["tls"], life, secure),
        "TCP, long": streams.tcp(ports["tcp"], life),
        "TCP, short": streams.tcp(ports["tcp"], 0.0),
        "Kafka": kafka.producer(ports["kafka"]),
    }


def context(trusted: list[certificates.Files], protocol: str) -> ssl.SSLContext:
    """TLS of a client that speaks C{protocol}."""
    found = ssl.create_default_context()
    for files in trusted:
        found.load_verify_locations(files.authority)
    found.set_alpn_protocols([protocol])
    return found


@contextmanager
def behind(folder: Path, trusted: list[certificates.Files], workers: int) -> Iterator[Proxy]:
    """An lproxy, and two sets of what stands behind it."""
    grpc, broker, *rest = free_ports(6)
    sets = [dict(zip(("web", "tcp"), rest[at : at + 2], strict=True)) for at in (0, 2)]
    with ExitStack() as stack:
        core = min(os.sched_getaffinity(0))
        stack.enter_context(running("gRPC", client_command("grpc", str(grpc)), core, folder / "grpc.log", [grpc]))
        for number, one in enumerate(sets):
            ports = [one["web"], one["tcp"], broker if not number else free_ports(1)[0]]
            command = [sys.executable, "-m", "benchmark.endurance.upstream", *map(str, ports)]
            stack.enter_context(running("upstream", command, core, folder / f"upstream-{number}.log", ports))
            one |= {"grpc": grpc, "kafka": broker}
        names = ("admin", "web", "tls", "grpc", "tcp", "kafka", "spare")
        (base,) = free_ports(1, 2)
        proxy = Proxy(
            folder, workers, dict(zip(names, free_ports(len(names)), strict=True)) | {"base": base}, sets, trusted
        )
        with proxy.running():
            yield proxy


class Run:
    """Clients that talk while something is done."""

    def __init__(self, proxy: Proxy, kinds: dict[str, Client], seed: int, amount: Amount, settle: float) -> None:
        """
        @param settle: seconds for everything to be let go of, at most
        """
        self._proxy = proxy
        self._settle = settle
        self._kinds = kinds
        self._chaos = Chaos(proxy, amount, random.Random(seed))
        self._before = Census(0, 0, 0.0)

    async def all(self) -> list[Row]:
        """Every action; the first is to make it warm."""
        rows: list[Row] = []
        await self._talk(lambda: time.sleep(self._chaos.amount.quiet))
        await asyncio.sleep(IDLE)
        self._before = self._proxy.look()
        for name, act in self._chaos.actions().items():
            self._proxy.empty()
            kills = len(self._proxy.kills)
            tallies = await self._talk(act)
            after = await asyncio.to_thread(settled, self._before, self._proxy.look, self._settle)
            problems, self._chaos.problems = self._chaos.problems, []
            rows.append(Row(name, tallies, self._proxy.kills[kills:], self._before, after, problems))
            print("\n".join(lines(rows[-1])), flush=True)
        return rows

    async def _talk(self, act: Callable[[], None]) -> list[Tally]:
        tallies = [Tally(name) for name in self._kinds]
        talking = [asyncio.create_task(self._kinds[tally.client](tally)) for tally in tallies for _ in range(EACH)]
        try:
            await asyncio.to_thread(act)
        finally:
            for one in talking:
                one.cancel()
            ended = await asyncio.gather(*talking, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception):
                raise error
        return tallies


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; 1 where something was lost that need not be, or has come to stay."""
    whole = Amount()
    parser = argparse.ArgumentParser(prog="python -m benchmark.endurance", description="What lproxy loses.")
    parser.add_argument("--workers", type=int, default=2, help="(default: %(default)s)")
    for name, value in asdict(whole).items():
        what = "seconds of it" if isinstance(value, float) else "how many"
        parser.add_argument(f"--{name}", type=type(value), help=f"{what}, 0: none (default: {value:g})")
    parser.add_argument("--seed", type=int, default=0, help="of their order (default: %(default)s)")
    parser.add_argument("--log", type=Path, help="where to leave lproxy's log")
    parser.add_argument("--tiny", action="store_true", help="a few seconds: does it still work?")
    options = parser.parse_args(arguments)
    # of connections that we let go of in the end
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    given = {name: value for name in asdict(whole) if (value := getattr(options, name)) is not None}
    amount = replace(TINY if options.tiny else whole, **given)
    with tempfile.TemporaryDirectory(prefix="lproxy-endurance-") as name:
        folder = Path(name)
        trusted = []
        for number in range(2):
            (folder / str(number)).mkdir()
            trusted.append(certificates.make(folder / str(number)))
        with behind(folder, trusted, options.workers) as proxy:
            run = Run(proxy, clients(dict(proxy.ports), trusted), options.seed, amount, SETTLE)
            try:
                rows = asyncio.run(run.all())
            finally:
                log = proxy.log()
                if options.log:
                    options.log.write_text(log)
    found = [line for row in rows for line in missed(row)]
    found += [str(finding) for finding in leaks.in_log(log) if "level" not in finding.what]
    print("\n".join(f"*** {line}" for line in found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
