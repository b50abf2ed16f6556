# -*- test-case-name: tests.benchmark.test_session -*-
"""
Every scenario with every proxy, round after round: one L{Run} each.

Within a round the proxies take turns scenario by scenario, so that a slow minute of the machine hits all of them, and
each round begins with another proxy. Each run has a proxy started for it alone.
"""

import re
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmark import compiled, fortio, http2, kafka, leaks, observing, peers, profiles, stock, tail, tls
from benchmark.measure import reactor_lag_ms
from benchmark.metrics import OPTIONAL
from benchmark.peer import DIRECT, Peer
from benchmark.process import ProcessFailed
from benchmark.profile import Profiler
from benchmark.scenarios import FIRST_CONNECTIONS, SCENARIOS, Measured, Scenario
from benchmark.settings import Settings
from benchmark.upstreams import Upstreams, upstreams

#: what stands behind the proxies, by the word that a scenario uses for it
BEHIND: dict[str, Callable[[Path, Settings, Sequence[str]], AbstractContextManager[Upstreams]]] = {
    "usual": upstreams,
    "fortio": fortio.server,
    "kafka": kafka.broker,
}
#: every scenario with a fixed name; the matrix makes more
ALL_SCENARIOS: dict[str, Scenario] = (
    SCENARIOS
    | tls.SCENARIOS
    | http2.SCENARIOS
    | profiles.SCENARIOS
    | tail.SCENARIOS
    | observing.SCENARIOS
    | kafka.SCENARIOS
)
#: every proxy that needs no naming
ALL_PEERS: dict[str, Peer] = peers.PEERS | {compiled.NAME: compiled.PEER, stock.NAME: stock.PEER}


@dataclass(frozen=True)
class Run:
    """
    One measurement; C{error} says why there is none.

    @ivar labels: what was measured, one entry for each dimension
    @ivar reached: whether the rate aimed at was
    @ivar noisy: others used the two cores too much
    """

    scenario: str
    proxy: str
    round: int
    values: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    error: str = ""
    foreign_proxy: float = 0.0
    foreign_load: float = 0.0
    reached: bool = True
    noisy: bool = False
    labels: dict[str, str | int | float] = field(default_factory=dict)


def labels(scenario: Scenario, peer: Peer, number: int, settings: Settings) -> dict[str, str | int | float]:
    """Every dimension of a run. What has no reactor has an empty one."""
    runtime = {"reactor": peer.reactor, "python": peer.python}
    return scenario.shape.labels(settings) | {"product": peer.product or peer.name} | runtime | {"iteration": number}


def file_name(run: Run) -> str:
    """A name, without ending, that no other run of the session has: every label is in it."""
    of = run.labels
    runtime = f"{of['reactor'] or 'native'}{of['python']}"
    numbers = f"r{of['target_per_s']}_b{of['body_bytes']}_c{of['connections']}_i{run.round}"
    return re.sub(r"[^\w.=+~^@-]", "-", f"{of['load']}_{run.proxy.partition('@')[0]}_{runtime}_{numbers}")


@dataclass(frozen=True)
class Plan:
    """What is to be measured; in words what is left out for want of a tool, and what a proxy cannot do."""

    scenarios: list[Scenario]
    peers: list[Peer]
    missing: list[str]
    unable: list[str] = field(default_factory=list)

    def pairs(self) -> list[tuple[Scenario, Peer]]:
        """What one round consists of; direct traffic included where other figures are relative to it."""
        pairs = []
        for scenario in self.scenarios:
            chosen = [peer for peer in self.peers if peer.name != DIRECT or scenario.direct]
            if any(metric.added for metric in scenario.metrics) and DIRECT not in {peer.name for peer in chosen}:
                chosen.insert(0, peers.PEERS[DIRECT])
            pairs += [(scenario, peer) for peer in chosen if scenario.listener in peer.listeners]
        return pairs

    def order(self, rounds: int) -> Iterator[tuple[int, Scenario, Peer]]:
        """Every run in its turn."""
        pairs = self.pairs()
        for number in range(1, rounds + 1):
            for scenario in self.scenarios:
                turn = [peer for at, peer in pairs if at is scenario]
                first = (number - 1) % len(turn) if turn else 0
                for peer in turn[first:] + turn[:first]:
                    yield number, scenario, peer


def plan(scenarios: Sequence[Scenario], wanted: Sequence[Peer]) -> Plan:
    """Leave out what this machine has no tools for."""
    missing, scenarios_left, peers_left = [], [], []
    lacks = {scenario.missing: scenario.missing() for scenario in scenarios}
    for scenario in scenarios:
        if lack := lacks[scenario.missing]:
            missing.append(f"scenario {scenario.name} left out: {lack}")
        else:
            scenarios_left.append(scenario)
    listeners = {scenario.listener for scenario in scenarios_left}
    for peer in wanted:
        if not peer.listeners & listeners:
            continue
        if lack := peer.missing():
            missing.append(f"proxy {peer.name} left out: {lack}")
        else:
            peers_left.append(peer)
    unable: dict[tuple[str, str], list[str]] = {}
    for peer in wanted:
        for scenario in scenarios_left:
            if why := peer.cannot.get(scenario.listener):
                unable.setdefault((peer.name, why), []).append(scenario.name)
    words = [f"{', '.join(names)} without {peer}: {why}" for (peer, why), names in unable.items()]
    return Plan(scenarios_left, peers_left, missing, words)


def measure(
    scenario: Scenario,
    peer: Peer,
    number: int,
    settings: Settings,
    behind: Upstreams | ProcessFailed,
    home: Path,
    raw: Path | None,
) -> Run:
    """One run with a fresh proxy; what goes wrong, or went wrong behind, becomes its C{error}."""
    about = labels(scenario, peer, number, settings)
    run = Run(scenario.name, peer.name, number, labels=about)
    directory = home / file_name(run)
    connections = settings.idle + FIRST_CONNECTIONS + 500
    if isinstance(behind, ProcessFailed):
        return replace(run, error=str(behind))
    allowed = leaks.ALLOWED + kafka.GATEWAY_LISTENERS * (scenario.listener == "kafka")
    try:
        with peers.proxy(peer, directory, settings.proxy_core, behind, connections, scenario.listener) as proxy:
            if raw is not None:
                proxy = replace(proxy, raw=raw / f"{file_name(run)}.txt")
            # what is left behind shows in the first round as in any, and takes seconds to be sure of
            with leaks.watched(proxy.pid if peer.ours and number == 1 else None, allowed):
                found: Measured = scenario.run(proxy, settings)
                lag = reactor_lag_ms(proxy.ports.admin) if peer.ours and proxy.ports.admin else None
    except Exception as error:  # one bad run must not take the session with it
        return replace(run, error=str(error) or repr(error))
    # both cores: who disturbs the load spoils the latencies, and how much work the proxy finds at each wake-up
    foreign = found.foreign_load if peer.name == DIRECT else max(found.foreign_proxy, found.foreign_load)
    return replace(
        run,
        values=found.values | ({} if lag is None else {"reactor_lag_p99_ms": lag}),
        notes=found.notes,
        foreign_proxy=found.foreign_proxy,
        foreign_load=found.foreign_load,
        reached=found.reached,
        noisy=scenario.timed and foreign > settings.noise,
    )


def counted(runs: Sequence[Run]) -> list[Run]:
    """Of one proxy's runs in one scenario those that count: without error, and quiet if any is."""
    good = [run for run in runs if not run.error]
    return [run for run in good if not run.noisy] or good


def add_differences(runs: Sequence[Run], scenario: Scenario) -> None:
    """Fill in the metrics that are a difference to direct traffic: the same round's, or the median if it was noisy."""
    mine = [run for run in runs if run.scenario == scenario.name and not run.error]
    direct = counted([run for run in mine if run.proxy == DIRECT])
    for metric in scenario.metrics:
        # a run without the figure is incomplete, and told so elsewhere
        base = {run.round: run.values[metric.added] for run in direct if metric.added in run.values}
        if not metric.added or not base:
            continue
        usual = statistics.median(base.values())
        for run in mine:
            if run.proxy != DIRECT and metric.added in run.values:
                run.values[metric.key] = run.values[metric.added] - base.get(run.round, usual)


def stand(stack: ExitStack, what: Plan, settings: Settings, home: Path) -> dict[str, Upstreams | ProcessFailed]:
    """Whatever the scenarios want behind the proxies, until C{stack} is left; or why it does not stand."""
    names = [peer.name for peer in what.peers]
    found: dict[str, Upstreams | ProcessFailed] = {}
    for word in dict.fromkeys(scenario.behind for scenario in what.scenarios):
        try:
            found[word] = stack.enter_context(BEHIND[word](home, settings, names))
        except ProcessFailed as error:
            found[word] = error
        except Exception as error:
            found[word] = ProcessFailed(str(error) or repr(error))
    return found


def execute(
    what: Plan, settings: Settings, home: Path, report: Callable[[Run], None], raw: Path | None = None
) -> list[Run]:
    """
    Measure everything; C{report} hears of each run as it ends.

    Files go to the directory C{home}, what the load programs print to C{raw}.
    """
    runs: list[Run] = []
    with ExitStack() as stack:
        behind = stand(stack, what, settings, home)
        for number, scenario, peer in what.order(settings.rounds):
            run = measure(scenario, peer, number, settings, behind[scenario.behind], home, raw)
            runs.append(run)
            report(run)
    for scenario in what.scenarios:
        add_differences(runs, scenario)
    return runs


def incomplete(what: Plan, runs: Sequence[Run], rounds: int) -> list[str]:
    """In words, every result that should be there and is not."""
    found = {(run.scenario, run.proxy, run.round): run for run in runs}
    words = []
    for scenario, peer in what.pairs():
        for number in range(1, rounds + 1):
            place = f"{scenario.name}, {peer.name}, round {number}"
            run = found.get((scenario.name, peer.name, number))
            if run is None:
                words.append(f"{place}: not run")
            elif run.error:
                words.append(f"{place}: {run.error}")
            else:
                expected = [metric.key for metric in scenario.expected(peer.name)]
                words += [f"{place}: no {key}" for key in expected if key not in run.values | dict.fromkeys(OPTIONAL)]
    return words


def profile(
    what: Plan, settings: Settings, home: Path, output: Path, profilers: Sequence[Profiler]
) -> Iterator[tuple[str, str]]:
    """
    Each of lproxy's variants under each scenario once more, profiled; the figures count nowhere.

    Yields what was profiled, and a line to print, or what went wrong after the word FAILED. Files go to the directory
    C{output}.
    """
    pairs = [(scenario, peer) for scenario, peer in what.pairs() if peer.ours and profilers]
    if not pairs:
        return
    home = home / "profiled"
    home.mkdir()
    with ExitStack() as stack:
        behind = stand(stack, what, settings, home)
        for scenario, peer in pairs:
            for profiler in profilers:
                name = file_name(Run(scenario.name, peer.name, 0, labels=labels(scenario, peer, 0, settings)))
                base = output / f"{name.removesuffix('_i0')}-{profiler.name}"
                title = f"{scenario.name}, {peer.name}, {profiler.name}"
                wrapped = profiler.wrapped(peer, base)
                connections = settings.idle + FIRST_CONNECTIONS + 500
                try:
                    upstream = behind[scenario.behind]
                    if isinstance(upstream, ProcessFailed):
                        raise upstream
                    with peers.proxy(
                        wrapped, home / base.name, settings.proxy_core, upstream, connections, scenario.listener
                    ) as proxy:
                        assert proxy.pid is not None
                        run = scenario.run
                        work = lambda run=run, proxy=proxy: run(proxy, settings)  # noqa: E731
                        profiler.during(proxy.pid, work, settings.load_core, base)
                    for line in profiler.finish(base):
                        yield title, line
                except (ProcessFailed, OSError) as error:
                    yield title, f"FAILED {error}"
