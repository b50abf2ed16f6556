# -*- test-case-name: tests.app.workers.test_aggregate, tests.integration.test_workers -*-
"""
What the admin server of several workers shows: each of them answers for all.

Before a page is made, the others are asked for what it shows, at once and for a second at most. Whoever does not answer
is named; what it had counted stays in the sums, by its ledger.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall

from lproxy.app.reload import Outcome
from lproxy.app.rows import Standing
from lproxy.app.service import CONNECTIONS, Proxy
from lproxy.app.workers import joined
from lproxy.app.workers.ledger import Ledger
from lproxy.app.workers.sibling import PATIENCE, Answers, Parts, ask
from lproxy.app.workers.tapped import Tapped
from lproxy.app.workers.worker import Worker
from lproxy.errors import Failed
from lproxy.metrics import exposition, openmetrics, sums
from lproxy.metrics.family import Family
from lproxy.metrics.workers import of_supervisor, of_workers

#: what each page shows of other workers; any other shows all
SHOWN = {
    "live": (),
    "ready": ("ready",),
    "metrics": ("families",),
    "config": ("config",),
    "services": ("services",),
    "connections": ("connections",),
    "plugins": ("plugins",),
    "workers": (),
    "tap": (),
    "lproxy.css": (),
    "lproxy.js": (),
}
ALL = ("ready", "families", "standings", "spoken", "failures", "some")
#: connections of each worker that the page knows of
SOME = 200
#: services of each worker of which all is told; the page shows half as many
ROWS = 200
#: seconds between two times that what was counted is written down, and how many times as long as it takes that is
WRITE, SHARE = 5.0, 200


class Together:
    """
    A proxy of several workers, for L{lproxy.admin.server}, and what it counts.

    @ivar version: of this worker
    """

    def __init__(self, proxy: Proxy, worker: Worker, reactor: Any) -> None:
        self.version = proxy.version
        self.taps = Tapped(proxy.taps, worker, reactor)
        self._proxy = proxy
        self._worker = worker
        self._reactor = reactor
        self._index = worker.portion.index
        self._ledgers = [Ledger(fd) for fd in worker.ledgers]
        self._port: Any = None
        self._timer: IDelayedCall | None = None
        #: what others have said, by part and worker, and the table
        self._said: dict[str, dict[int, Any]] = {}
        self._silent: dict[int, str] = {}
        self._table: list[dict[str, Any]] = []
        self._supervisor: dict[str, Any] = {}
        self._parts: Parts = {
            "ready": proxy.ready,
            "families": lambda: bool(self._own_families()),
            "config": self._own_config,
            "services": lambda: list(proxy.services()),
            "standings": self._own_standings,
            "connections": proxy.connections,
            "some": lambda: proxy.connections(SOME),
            "spoken": lambda: [(*key, n) for key, n in proxy.spoken().items()],
            "plugins": proxy.plugins,
            "failures": proxy.failures,
        }
        self.failed = proxy.metrics.failed

    # its life

    def start(self) -> None:
        """Answer the others, and go on counting where the one before us was; once."""
        if self._port is not None:
            return
        self._proxy.metrics.inherit(sums.lasting(sums.families(self._ledgers[self._index].read())))
        self._port = self._reactor.listenUNIX(
            f"\0{self._worker.answers_at}", Answers(self._parts, self._proxy.taps, self._reactor)
        )
        self._write()

    def stop(self) -> Deferred[Any]:
        """End."""
        self.taps.stop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        port, self._port = self._port, None
        self._ledgers[self._index].write(sums.plain(self._proxy.metrics.families()))
        return DeferredList([port.stopListening()] if port is not None else [])

    def _write(self) -> None:
        began = self._reactor.seconds()
        self._own_families()
        took = self._reactor.seconds() - began
        self._timer = self._reactor.callLater(max(WRITE, took * SHARE), self._write)

    def _own_families(self) -> list[sums.Plain]:
        """As of now; written down, so that what was shown once is not less the next time."""
        own = self._proxy.metrics.everything()
        found = sums.plain(own)
        self._ledgers[self._index].write(found)
        return found

    def _own_standings(self) -> list[tuple[Any, ...]]:
        """In short of all, and everything of those that there is most to say of."""
        every = sorted(self._proxy.standings(""), key=lambda one: (one.serves, -one.ailing, -one.busy))
        return [(*one[:4], one.row() if n < ROWS else None) for n, one in enumerate(every)]

    def _own_config(self) -> dict[str, Any]:
        return dict(self._proxy.describe_config()["live"])

    # what the others say

    def ask_all(self, page: str) -> Deferred[None]:
        """Ask for what C{page} shows; fires once they have answered, or a second is over."""
        return Deferred.fromCoroutine(self._ask_all(SHOWN.get(page.removesuffix(".json"), ALL)))

    async def _ask_all(self, wanted: tuple[str, ...]) -> None:
        try:
            answer = await self._worker.ask({"do": "table"}).addTimeout(PATIENCE, self._reactor)
        except Exception as e:
            # the supervisor is light, and nobody waits for it: it has ended
            why = f"the supervisor does not answer: {type(e).__name__}"
            self._proxy.warn("supervisor", why, Failed("supervisor", "", why, PATIENCE))
            return
        self._table, self._supervisor = answer["workers"], answer["supervisor"]
        others = [row for row in self._table if row["worker"] != self._index]
        asked = [row for row in others if row["at"] and row["state"] in ("serving", "hung")] if wanted else []
        answers = await DeferredList(
            [Deferred.fromCoroutine(ask(row["at"], wanted, self._reactor)) for row in asked], consumeErrors=True
        )
        silent = {row["worker"]: str(row["state"]) for row in others if wanted and row not in asked}
        said: dict[str, dict[int, Any]] = {name: {} for name in wanted}
        for row, (well, told) in zip(asked, answers, strict=True):
            if not well:
                silent[row["worker"]] = "silent" if row["state"] == "serving" else str(row["state"])
                continue
            for name, part in told.items():
                said.setdefault(name, {})[row["worker"]] = part
        if wanted:
            self._silent = silent
            # whoever has asked shows it now: what others have asked for is of another time
            self._said = said

    def _of(self, name: str) -> dict[int, Any]:
        """What each says of C{name}, ourselves included."""
        return {self._index: self._parts[name](), **self._said.get(name, {})}

    # the proxy

    def ready(self) -> str | None:
        """Why not all of it is."""
        for index, state in self._silent.items():
            return f"worker {index} is {state}"
        for index, why in sorted(self._of("ready").items()):
            if why is not None:
                return f"worker {index}: {why}"
        return None

    def describe_config(self) -> dict[str, Any]:
        """The configuration in effect, here; C{live} says whether others have another."""
        config = self._proxy.describe_config()
        others = {index: live["hash"] for index, live in self._said.get("config", {}).items()}
        differing = sorted(index for index, digest in others.items() if digest != config["live"]["hash"])
        return {**config, "live": {**config["live"], "differs_in_workers": differing}}

    def addresses(self) -> dict[str, tuple[str, int]]:
        """Where each listener accepts, the same in all."""
        return self._proxy.addresses()

    def glance(self) -> dict[str, Any]:
        """Which configuration it is, and the listeners."""
        return self._proxy.glance()

    def services(self, wanted: str = "") -> list[dict[str, Any]]:
        """Those of all, each once, that have C{wanted} in their names."""
        return [row for row in joined.services(self._of("services")) if wanted in str(row["target"])]

    def standings(self, wanted: str) -> list[Standing]:
        """How those do that are used, each once."""
        found: dict[str, list[Standing]] = {}
        for some in self._of("standings").values():
            for target, serves, ailing, busy, row in some:
                if wanted in target:
                    found.setdefault(target, []).append(Standing(target, serves, ailing, busy, partial(_as_it_is, row)))
        return [joined.standing(some) for some in found.values()]

    def unused(self, wanted: str) -> list[dict[str, Any]]:
        """Those of the configuration that nobody uses."""
        used = {one.target for one in self.standings(wanted)}
        return [row for row in self._proxy.unused(wanted) if row["target"] not in used]

    def connections(self, limit: int = CONNECTIONS) -> list[dict[str, Any]]:
        """Those of all, with their workers: of each the oldest C{limit}."""
        own = {self._index: self._proxy.connections(limit)}
        said = self._said.get("connections", self._said.get("some", {}))
        others = {index: some[:limit] for index, some in said.items()}
        return joined.connections({**others, **own})

    def spoken(self) -> Counter[tuple[str, str]]:
        """How many there are, by listener and protocol."""
        total: Counter[tuple[str, str]] = Counter()
        for some in self._of("spoken").values():
            for listener, protocol, n in some:
                total[listener, protocol] += n
        return total

    def failures(self) -> list[dict[str, Any]]:
        """Those of all."""
        return joined.failures(self._of("failures"))

    def plugins(self) -> list[dict[str, Any]]:
        """Those of all."""
        return joined.plugins(self._of("plugins"))

    def workers(self) -> list[dict[str, Any]]:
        """The table of workers."""
        return [{key: value for key, value in row.items() if key != "at"} for row in self._table]

    def draining(self) -> list[dict[str, Any]]:
        """Those of before, the same for all."""
        return self._proxy.draining()

    def reload(self) -> Deferred[Outcome]:
        """Of all of them."""
        return self._proxy.reload()

    def shutdown(self) -> None:
        """All of them."""
        self._worker.tell({"do": "shutdown"})

    def set_log_level(self, name: str) -> None:
        """Of all of them; raises ValueError for a level that there is not."""
        self._proxy.set_log_level(name)
        self._worker.tell({"do": "level", "level": name.lower()})

    # what is counted

    def text(self, open_metrics: bool = False) -> Iterator[bytes]:
        """The exposition in pieces; see L{lproxy.metrics.registry.Metrics.text}."""
        self._proxy.metrics.sweep()
        every = self.families()
        if open_metrics:
            yield from openmetrics.text(every)
            yield openmetrics.EOF
        else:
            yield from exposition.text(every)

    def families(self) -> list[Family]:
        """The sums."""
        parts: list[tuple[str, Any]] = []
        self._own_families()
        # which each has just written down
        answered = sorted((self._index, *self._said.get("families", {})))
        parts += [(str(index), sums.families(self._ledgers[index].read())) for index in answered]
        for index, state in self._silent.items():
            # one that hangs still has its connections, one that is gone has counted
            known = sums.families(self._ledgers[index].read())
            parts.append((str(index), known if state in ("hung", "silent") else sums.lasting(known)))
        parts.append(("supervisor", of_supervisor(self._supervisor)))
        return [*sums.summed(parts), *of_workers(self._table, self._silent)]


def _as_it_is(row: dict[str, Any] | None) -> dict[str, Any] | None:
    return row
