# -*- test-case-name: tests.benchmark.test_matrix -*-
"""
Many measurements as one value: protocol x body x rate x connections, under each reactor and set of Python options.

C{--matrix body=10,200 rate=1000,max reactor=epoll,uvloop python=none,-O} becomes a L{Matrix}; L{scenarios} makes loads
of fortio's of it. Reactor and Python options make one proxy more of each that is a Python program, so that they stand
side by side like any others.
"""

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import product

from benchmark import fortio
from benchmark.peer import Peer, Setting
from benchmark.process import ProcessFailed
from benchmark.scenarios import Scenario

REACTORS = ("epoll", "poll", "select", "asyncio", "uvloop")
#: fewer say nothing about the spread
LEAST_ITERATIONS = 3

#: installs the reactor named first, before anything can install another, then runs the module named second as -m does
LAUNCHER = """\
import os, runpy, sys
name, module, *words = sys.argv[1:]
sys.path[0] = os.getcwd()
if name == "uvloop":
    try:
        import uvloop
    except ImportError:
        sys.exit(f"uvloop is not installed for {sys.executable}: pip install uvloop")
    from twisted.internet import asyncioreactor
    asyncioreactor.install(uvloop.new_event_loop())
else:
    from twisted.application.reactors import installReactor
    installReactor(name)
sys.argv = [module, *words]
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


class WrongMatrix(ValueError):
    """The words after --matrix do not say what to measure."""


@dataclass(frozen=True)
class Runtime:
    """What a Python proxy runs on: a reactor and options of the interpreter."""

    reactor: str = "epoll"
    python: tuple[str, ...] = ()

    def label(self) -> str:
        """Short, and fit for a file name: uvloop, epoll-O, epoll-X-dev."""
        words = (word if word.startswith("-") else f"-{word}" for word in self.python)
        return re.sub(r"[^\w.=-]", "-", "".join([self.reactor, *words]))

    def missing(self) -> str | None:
        """What this Python lacks for it, and how to get it."""
        if self.reactor == "uvloop" and find_spec("uvloop") is None:
            return "uvloop is not installed: pip install uvloop"
        return None

    def command(self, command: Sequence[str]) -> list[str]:
        """C{command}, which must be some Python's C{-m MODULE ...}, under this reactor and with these options."""
        try:
            at = list(command).index("-m")
            module, *words = command[at + 1 :]
        except ValueError as error:
            raise ProcessFailed(f"no reactor can be chosen for {shlex.join(command)}: it is no PYTHON -m") from error
        return [*command[:at], *self.python, "-c", LAUNCHER, self.reactor, module, *words]

    def of(self, peer: Peer) -> Peer:
        """C{peer} on this."""
        make = peer.command
        assert make is not None

        def command(setting: Setting) -> list[str]:
            return self.command(make(setting))

        options = f" with python {shlex.join(self.python)}" if self.python else ""
        return replace(
            peer,
            name=f"{peer.name}@{self.label()}",
            product=peer.product or peer.name,
            reactor=self.reactor,
            python=shlex.join(self.python),
            command=command,
            missing=lambda: peer.missing() or self.missing(),
            version=lambda: f"{peer.version()} on {self.reactor}{options}",
        )


@dataclass(frozen=True)
class Matrix:
    """Everything that varies. A rate of 0 means as fast as it goes."""

    protocol: tuple[str, ...] = ("http",)
    body: tuple[int, ...] = (10, 200, 10_000)
    rate: tuple[float, ...] = (1000.0,)
    connections: tuple[int, ...] = (10,)
    reactor: tuple[str, ...] = ("epoll",)
    python: tuple[tuple[str, ...], ...] = ((),)
    iterations: int = LEAST_ITERATIONS

    def loads(self) -> Iterator[tuple[str, int, float, int]]:
        """Each combination of protocol, body, rate, connections."""
        return product(self.protocol, self.body, self.rate, self.connections)

    def runtimes(self) -> list[Runtime]:
        return [Runtime(reactor, options) for reactor, options in product(self.reactor, self.python)]


# from words


def whole(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        number = int(text.replace("_", ""))
        if not least <= number <= most:
            raise ValueError(f"it must be between {least} and {most}")
        return number

    return read


def one_of(known: Sequence[str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in known:
            raise ValueError(f"there are {', '.join(known)}")
        return text

    return read


def pace(text: str) -> float:
    if text == "max":
        return 0.0
    rate = float(text)
    if not 0 < rate < 1e9:
        raise ValueError("it must be a number of requests per second, or max")
    return rate


def options(text: str) -> tuple[str, ...]:
    words = () if text == "none" else tuple(shlex.split(text))
    if text != "none" and not text.startswith("-"):
        raise ValueError("it must be options like -O or '-X dev', or none")
    return words


READERS: dict[str, Callable[[str], object]] = {
    "protocol": one_of(tuple(fortio.LISTENERS)),
    "body": whole(1, fortio.MAX_BODY),
    "rate": pace,
    "connections": whole(1, 10_000),
    "reactor": one_of(REACTORS),
    "python": options,
    "iterations": whole(LEAST_ITERATIONS, 100),
}


def parse(words: Sequence[str]) -> Matrix:
    """The matrix that words like C{body=10,200} describe; what is not named has its default."""
    given: dict[str, object] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or key not in READERS:
            raise WrongMatrix(f"{word!r}: a dimension is KEY=VALUE,VALUE with a key of {', '.join(READERS)}")
        if key in given:
            raise WrongMatrix(f"{key} is given twice")
        values = []
        for part in text.split(","):
            try:
                values.append(READERS[key](part.strip()))
            except ValueError as error:
                raise WrongMatrix(f"{key}={part}: {error}") from error
        if len(set(values)) < len(values):
            raise WrongMatrix(f"{word}: a value stands there twice")
        if key == "iterations" and len(values) > 1:
            raise WrongMatrix(f"{word}: iterations is one number")
        given[key] = values[0] if key == "iterations" else tuple(values)
    matrix = Matrix(**given)  # type: ignore[arg-type]
    names = [runtime.label() for runtime in matrix.runtimes()]
    if len(set(names)) < len(names):
        raise WrongMatrix(f"python: two of the sets of options come down to the same name: {', '.join(names)}")
    return matrix


# to runs


def contenders(matrix: Matrix, peers: Sequence[Peer]) -> list[Peer]:
    """C{peers}; each that runs on Twisted once for every reactor and set of options, unless it is the usual one."""
    runtimes = matrix.runtimes()
    if runtimes == [Runtime()]:
        return list(peers)
    found = []
    for peer in peers:
        found += [runtime.of(peer) for runtime in runtimes] if peer.reactor else [peer]
    return found


def scenarios(matrix: Matrix) -> list[Scenario]:
    """One for each load."""
    return [fortio.scenario(*load) for load in matrix.loads()]
