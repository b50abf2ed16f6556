# -*- test-case-name: tests.benchmark.test_peer -*-
"""
A proxy under test as a value: where it listens, what its configuration is made from, how it is started.
"""

import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmark import ways
from benchmark.certificates import Files
from benchmark.process import Running
from benchmark.upstreams import Upstreams
from benchmark.ways import WAYS, Placed

DIRECT = "none"
LPROXY = "lproxy"
GATEWAY = "lproxy-gateway"
ENVOY = "envoy"
#: the listeners that everybody has
PLAIN = frozenset({"http", "tcp", "echo", "kafka"})


@dataclass(frozen=True)
class Ports:
    """
    Where a proxy listens; L{DIRECT} has the upstreams' own ports. None: this listener does not exist.

    C{ways} are those of the group that is needed, by their names.
    """

    http: int | None
    tcp: int | None
    echo: int | None
    admin: int | None = None
    kafka: int | None = None
    ways: Mapping[str, int] = field(default_factory=dict)

    def of(self, listener: str) -> int | None:
        """The port of the listener of that name."""
        plain = {"http": self.http, "tcp": self.tcp, "echo": self.echo, "kafka": self.kafka}
        return plain[listener] if listener in plain else self.ways.get(listener)


@dataclass(frozen=True)
class Setting:
    """All that a configuration file is made from."""

    directory: Path
    ports: Ports
    upstreams: Upstreams
    connections: int  #: client connections to allow for
    kafka: int | None = None  #: the broker's port for this proxy
    files: Files | None = None  #: keys and certificates, where there are ways
    second: Mapping[str, int] = field(default_factory=dict)  #: the second hop's listeners
    observe: str = ""  #: how it is observed: one of L{OBSERVED}, or not at all
    collector: int | None = None  #: the port of who takes its traces

    def streams(self) -> dict[str, tuple[int | None, int | None]]:
        """The listeners that pass bytes: name -> port, upstream's port."""
        found: dict[str, tuple[int | None, int | None]] = {
            "tcp": (self.ports.tcp, self.upstreams.tcp),
            "echo": (self.ports.echo, self.upstreams.echo),
        }
        return found | ({"kafka": (self.ports.kafka, self.kafka)} if self.kafka else {})

    def ways(self) -> list[Placed]:
        """The listeners with TLS or HTTP/2 that are needed."""
        behind = {"http": self.upstreams.http, "h2": self.upstreams.h2, "grpc": self.upstreams.grpc}
        return ways.placed(self.ports.ways, self.second or {name: port for name, port in behind.items() if port})


@dataclass(frozen=True)
class Peer:
    """
    One proxy under test.

    C{missing()} says what is not installed and how to get it, or None. C{command(setting)} writes the configuration
    files and returns the command line; None for L{DIRECT}. C{listeners} are those that it serves, C{cannot} says of
    others why it does not. C{product} is what it is, where its name says more: which revision, on which reactor.
    """

    name: str
    missing: Callable[[], str | None]
    command: Callable[[Setting], list[str]] | None
    listeners: frozenset[str] = PLAIN
    cannot: Mapping[str, str] = field(default_factory=dict)
    version: Callable[[], str] = lambda: ""
    ours: bool = False  #: it is lproxy, so what its log shows is a defect of ours
    product: str = ""
    reactor: str = ""  #: of a program on Twisted
    python: str = ""  #: options of its interpreter


@dataclass(frozen=True)
class Proxy:
    """A peer that is running (or L{DIRECT}, which has no process)."""

    peer: Peer
    ports: Ports
    running: Running | None
    raw: Path | None = None  #: where the load program's own output is to be kept
    setting: Setting | None = None  #: what its configuration was made from

    @property
    def pid(self) -> int | None:
        return None if self.running is None else self.running.pid


def first_line(*command: str) -> str:
    """The first line that a program says about itself."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "?"
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0].strip() if lines else "?"


def debian(tool: str, package: str) -> Callable[[], str | None]:
    """What is missing when C{tool} is not on the PATH."""
    return lambda: None if shutil.which(tool) else f"{tool} is not installed: apt-get install {package}"


#: the plain listeners, and the first hop's of all ways
EVERY = PLAIN | {name for name, way in WAYS.items() if way.group != "second"}
#: what no other proxy has: services of a file that say how they are treated
SERVICES = "services"
#: a service of ten endpoints, which its scenario configures
TAIL = "tail"
#: ways to observe what goes through the listener http; each has a process of its own
LOG_JSON, LOG_TEXT, TRACE_SOME, TRACE_ALL, IDS, SCRAPED = (
    "log-json",
    "log-text",
    "trace-1",
    "trace-100",
    "ids",
    "scraped",
)
OBSERVED = frozenset({LOG_JSON, LOG_TEXT, TRACE_SOME, TRACE_ALL, IDS, SCRAPED})
#: what lproxy has
OURS = EVERY | {SERVICES, TAIL} | OBSERVED
