# -*- test-case-name: tests.benchmark.endurance.test_actions -*-
"""
What happens to lproxy while everybody talks through it: each by itself, and all of it mixed.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmark.endurance.proxy import DRAIN, Proxy, until
from benchmark.process import ProcessFailed

#: seconds between two of a kind
RELOADS, TAKEOVERS, KILLS, CHANGES = 0.1, 0.5, 1.0, 1.5
#: seconds until C{watch} has seen that a file is another, or the access log goes on
WATCHED = 15.0


@dataclass(frozen=True)
class Amount:
    """
    How much of everything.

    @ivar quiet: seconds of nothing, which is where it begins
    @ivar full: seconds of a full disk, before and after a takeover; C{mixed}: seconds of everything
    """

    quiet: float = 4.0
    reloads: int = 100
    takeovers: int = 20
    kills: int = 20
    changes: int = 10
    full: float = 3.0
    mixed: float = 60.0


@dataclass
class Chaos:
    """
    All of it.

    @ivar problems: what did not come of it that should have
    """

    proxy: Proxy
    amount: Amount
    random: random.Random
    problems: list[str] = field(default_factory=list)

    def actions(self) -> dict[str, Callable[[], None]]:
        """By what they are called, in their order; without those of which there is to be nothing."""
        amount = self.amount
        all_of_them: tuple[tuple[str, float, Callable[[], None]], ...] = (
            ("nothing", amount.quiet, lambda: time.sleep(amount.quiet)),
            (f"{amount.reloads} reloads", amount.reloads, self.reload),
            (f"{amount.takeovers} takeovers", amount.takeovers, self.take_over),
            (f"kill -9, {amount.kills} workers", amount.kills if self.proxy.workers > 1 else 0, self.kill),
            (f"{amount.changes} changes of the file", amount.changes, self.change),
            ("a full disk", amount.full, self.fill),
            ("all of it, mixed", amount.mixed, self.mix),
        )
        return {name: act for name, much, act in all_of_them if much}

    def reload(self) -> None:
        """Each with another file."""
        for _ in range(self.amount.reloads):
            self._reload()
            time.sleep(RELOADS)

    def _reload(self) -> None:
        said = self.proxy.reload()
        if "is live" not in said:
            self.problems.append(f"a reload: {said.strip()}")

    def take_over(self) -> None:
        """One after the other; what the last but one has left drains meanwhile."""
        for _ in range(self.amount.takeovers):
            self.proxy.take_over()
            time.sleep(TAKEOVERS)

    def kill(self) -> None:
        """A worker in every second, if any serves by then."""
        for _ in range(self.amount.kills):
            self.proxy.kill()
            time.sleep(KILLS)
        until(self.proxy.ready, "all workers serve")

    def change(self) -> None:
        """The file, which is watched; now and then it is bad, which changes nothing."""
        for number in range(self.amount.changes):
            before = self.proxy.live()["hash"]
            if number % 3 == 2:
                self.proxy.write("[limits]\nin_fligth = 1\n")
                time.sleep(CHANGES)
            self.proxy.write()
            self._try(lambda before=before: self._is_live(before), "a changed file")  # type: ignore[misc]

    def _is_live(self, before: str) -> bool:
        live = self.proxy.live()
        return bool(live["hash"] != before) and not live.get("differs_in_workers")

    def fill(self) -> None:
        """The disk, and go on with everything else."""
        proxy = self.proxy
        proxy.fill()
        time.sleep(self.amount.full)
        self._reload()
        proxy.take_over()
        if proxy.workers > 1:
            proxy.kill()
        time.sleep(self.amount.full)
        until(proxy.ready, "all of it serves though the disk is full")
        proxy.clear()
        time.sleep(self.amount.full)
        self._try(lambda: proxy.on_disk("access.log").stat().st_size > 0, "the access log is written again")

    def _try(self, done: Callable[[], bool], what: str) -> None:
        """Wait, and note where it does not come to that."""
        try:
            until(done, what, WATCHED)
        except ProcessFailed as e:
            self.problems.append(str(e))

    def mix(self) -> None:
        """For so many seconds, one thing after the other, in no order."""
        proxy = self.proxy
        kinds: list[Callable[[], object]] = [self._reload, self._reload, proxy.fill, proxy.clear, proxy.write]
        kinds += [proxy.kill, proxy.kill] if proxy.workers > 1 else []
        end = time.monotonic() + self.amount.mixed
        while time.monotonic() < end:
            for kind in (self._take_over, *self.random.sample(kinds, len(kinds))):
                kind()
                time.sleep(self.random.uniform(0.0, 1.0))
        proxy.clear()
        until(proxy.ready, "all of it serves")
        time.sleep(DRAIN)

    def _take_over(self) -> None:
        proxy = self.proxy
        before = proxy.in_charge()
        try:
            proxy.take_over()
        except ProcessFailed as e:
            # one whose worker was killed before it served takes nothing over
            if before != proxy.in_charge():
                self.problems.append(str(e))
