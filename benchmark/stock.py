# -*- test-case-name: tests.benchmark.test_stock -*-
"""
What one would write without lproxy: Twisted's own port forwarder and its reverse HTTP proxy, in one process.

C{python -m benchmark.stock --http 8080 127.0.0.1 80 --tcp 9090 127.0.0.1 90}: each option takes the port to listen on
(on 127.0.0.1), the upstream's host and its port, and may be given more than once. Both are used as their documentation
shows: the reverse proxy opens an upstream connection for each request, as it always does.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from benchmark.peer import Peer, Setting
from benchmark.process import HOST
from benchmark.ways import WAYS

NAME = "stock"
IDLE_SECONDS = 600
CANNOT = "ReverseProxyResource speaks plain HTTP/1 to its upstreams, and what stands before it is up to its user"


@dataclass(frozen=True)
class Forward:
    """From a port here to an upstream."""

    port: int
    host: str
    upstream: int


def forward(words: Sequence[str]) -> Forward:
    """The three words of an option as a value."""
    port, host, upstream = words
    return Forward(int(port), host, int(upstream))


def options(words: Sequence[str]) -> tuple[list[Forward], list[Forward]]:
    """What the command line asks for: HTTP and TCP."""
    parser = argparse.ArgumentParser(prog="python -m benchmark.stock", description="Twisted's own proxies.")
    for kind in ("--http", "--tcp"):
        parser.add_argument(kind, nargs=3, action="append", default=[], metavar=("PORT", "UP_HOST", "UP_PORT"))
    found = parser.parse_args(words)
    if not found.http and not found.tcp:
        parser.error("nothing to do: give --http or --tcp")
    try:
        return [forward(three) for three in found.http], [forward(three) for three in found.tcp]
    except ValueError as error:
        parser.error(f"a port is a number: {error}")


def main(words: Sequence[str]) -> None:
    http, tcp = options(words)
    # here, for these imports install a reactor
    from twisted.internet import reactor
    from twisted.internet.protocol import Factory
    from twisted.protocols.portforward import ProxyFactory
    from twisted.python import log
    from twisted.web.proxy import ReverseProxyResource
    from twisted.web.server import Site

    # like the other proxies: no log line for each request and connection, and ten minutes of patience
    log.startLogging(sys.stderr, setStdout=False)
    Factory.noisy = False
    for one in http:
        site = Site(ReverseProxyResource(one.host, one.upstream, b""), timeout=IDLE_SECONDS)
        site.log = lambda request: None  # type: ignore[method-assign]
        reactor.listenTCP(one.port, site, backlog=4096, interface=HOST)  # type: ignore[arg-type]
    for one in tcp:
        factory = ProxyFactory(one.host, one.upstream)
        reactor.listenTCP(one.port, factory, backlog=4096, interface=HOST)  # type: ignore[arg-type]
    reactor.run()


def command(setting: Setting) -> list[str]:
    """Twisted's proxies on all listeners."""
    ports, upstreams = setting.ports, setting.upstreams
    words = ["--http", str(ports.http), HOST, str(upstreams.http)]
    for port, upstream in setting.streams().values():
        words += ["--tcp", str(port), HOST, str(upstream)]
    return [sys.executable, "-m", "benchmark.stock", *words]


def missing() -> str | None:
    return None if find_spec("twisted") else "Twisted is not installed for this Python: pip install twisted"


def version() -> str:
    import twisted

    return f"Twisted {twisted.__version__} portforward and ReverseProxyResource"


PEER = Peer(NAME, missing, command, cannot=dict.fromkeys(WAYS, CANNOT), version=version, reactor="epoll")

if __name__ == "__main__":
    main(sys.argv[1:])
