# -*- test-case-name: tests.stack.test_compose -*-
"""
Tests for L{lproxy.stack.compose}.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.stack.compose import stack
from tests.components import require

ROOT = Path(__file__).resolve().parents[2]


class StackTests(SynchronousTestCase):
    """Layers, read downward."""

    def test_order(self) -> None:
        """The first is outermost."""

        def layer(name: str) -> Any:
            return lambda inner: f"{name}({inner})"

        self.assertEqual("a(b(c(bottom)))", stack(layer("a"), layer("b"), layer("c"))("bottom"))

    def test_again(self) -> None:
        """One stack can be put on several bottoms."""
        built = stack(lambda inner: [inner], lambda inner: (inner,))
        self.assertEqual(([(1,)], [(2,)]), (built(1), built(2)))


#: what the type checker is shown; lines that it is to refuse say so
SNIPPET = """
from twisted.internet.interfaces import IReactorTime

from lproxy.metrics.counters import AcquireCounter
from lproxy.stack import admit, balance, failfast, lock, observe, retry, router, split, timeout
from lproxy.stack.backoff import Backoff
from lproxy.stack.budget import Budgets
from lproxy.stack.compose import stack
from lproxy.stack.interfaces import BalanceLayer, Discover, EndpointService, L, NewEndpoint, Stack, TimeoutLayer
from lproxy.stack.lease import Hold
from lproxy.target import Authority


class Lease:
    hold: Hold

    def call(self, request: bytes) -> int: ...
    def close(self) -> None: ...


class Endless:
    def call(self) -> None: ...


def layers(clock: IReactorTime, discover: Discover, backoff: Backoff, new_endpoint: NewEndpoint[Lease]) -> None:
    again, part = retry.layer(Budgets(clock)), split.layer(backoff.random)
    edge, seen = admit.layer(admit.InFlight(3)), observe.layer(AcquireCounter(), clock)
    timed, locked, cached = timeout.layer(3.0, clock), lock.layer(clock), router.cached(10, 5.0, clock)
    fast, spread = failfast.layer(2.0, clock, backoff), balance.layer(discover, clock, backoff)
    whole = stack(again, edge, seen, timed, part, locked, cached, fast, spread)(new_endpoint)
    lease = whole.try_acquire(Authority("web", 80))
    assert lease is not None
    answer: int = lease.call(b"request")
    lease.call(1)  # refused: not what this lease is called with
    stack(again, edge, seen, timed, part, locked, cached, spread, fast)(new_endpoint)  # refused: failfast below balance
    stack(again, edge, seen, timed, part, locked, fast, cached, spread)(new_endpoint)  # refused: failfast above cache
    stack(again, edge, seen, timed, part, locked, cached, fast)(new_endpoint)  # refused: no balance
    stack(edge, again, seen, timed, part, locked, cached, fast, spread)(new_endpoint)  # refused: retry below admit
    stack(again, edge, locked, seen, timed, part, cached, fast, spread)(new_endpoint)  # refused: lock above observe
    stack(again, edge, seen, locked, timed, cached, fast, spread)(new_endpoint)  # refused: lock above timeout
    stack(again, edge, seen, timed, locked, part, cached, fast, spread)(new_endpoint)  # refused: split below the lock
    stack(again, edge, seen, locked, cached, fast, spread)(new_endpoint)  # refused: no timeout


def any_lease(new: NewEndpoint[L], timed: TimeoutLayer, clock: IReactorTime, spread: BalanceLayer) -> Stack[L]:
    return stack(retry.layer(Budgets(clock)), timed, router.cached(10, 5.0, clock), spread)(new)


def endless(service: EndpointService[Endless]) -> None: ...  # refused: a lease that cannot be closed
"""


class TypesTests(SynchronousTestCase):
    """The type checker knows which layer stands on which, and whose leases come out on top."""

    def test_order(self) -> None:
        """A stack in a wrong order is refused, and so is a lease that is called as another protocol's."""
        require(packages=("mypy",))
        snippet, cache = Path(self.mktemp()), self.mktemp()
        snippet.write_text(SNIPPET, "utf-8")
        options = ("--strict", "--follow-imports=silent", "--namespace-packages", "--explicit-package-bases")
        command = (sys.executable, "-m", "mypy", *options, "--config-file=", f"--cache-dir={cache}", str(snippet))
        said = subprocess.run(command, env={"MYPYPATH": str(ROOT)}, capture_output=True, text=True)
        complaints = {int(n) for n in re.findall(r":(\d+): error: .*\[(?!empty-body)", said.stdout)}
        lines = SNIPPET.split("\n")
        refused = {n for n, line in enumerate(lines, 1) if "# refused" in line}
        self.assertEqual(refused, complaints, said.stdout + said.stderr)
