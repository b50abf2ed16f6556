"""
Every scenario with every proxy, round after round: one L{Run} each.

Within a round the proxies take turns scenario by scenario, so that a slow minute of the machine hits all of them. Each
run has a proxy started for it alone.
"""

import shutil
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmark import peers
from benchmark.peers import DIRECT, Peer
from benchmark.process import ProcessFailed
from benchmark.profile import record
from benchmark.scenarios import FIRST_CONNECTIONS, Measured, Scenario, Settings
from benchmark.upstreams import Upstreams, upstreams

#: how to get the tools that scenarios need
TOOLS = {"wrk": "apt-get install wrk", "iperf3": "apt-get install iperf3", "nginx": "apt-get install nginx"}


@dataclass(frozen=True)
class Run:
    """One measurement; C{error} says why there is none. C{noisy}: others used the two cores too much."""

    scenario: str
    proxy: str
    round: int
    values: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    error: str = ""
    foreign_proxy: float = 0.0
    foreign_load: float = 0.0
    noisy: bool = False


@dataclass(frozen=True)
class Plan:
    """What is to be measured, and in words what is left out for want of a tool."""

    scenarios: list[Scenario]
    peers: list[Peer]
    missing: list[str]

    def pairs(self) -> list[tuple[Scenario, Peer]]:
        """What one round consists of, in its order; direct traffic included where other figures are relative to it."""
        pairs = []
        for scenario in self.scenarios:
            chosen = [peer for peer in self.peers if peer.name != DIRECT or scenario.direct]
            if any(metric.added for metric in scenario.metrics) and DIRECT not in {peer.name for peer in chosen}:
                chosen.insert(0, peers.PEERS[DIRECT])
            pairs += [(scenario, peer) for peer in chosen if scenario.listener in peer.listeners]
        return pairs


def plan(scenarios: Sequence[Scenario], wanted: Sequence[Peer]) -> Plan:
    """Leave out what this machine has no tools for."""
    missing, scenarios_left, peers_left = [], [], []
    for scenario in scenarios:
        absent = [tool for tool in scenario.tools if shutil.which(tool) is None]
        missing += [f"scenario {scenario.name} left out: no {tool}: {TOOLS[tool]}" for tool in absent]
        scenarios_left += [] if absent else [scenario]
    for peer in wanted:
        if lack := peer.missing():
            missing.append(f"proxy {peer.name} left out: {lack}")
        else:
            peers_left.append(peer)
    return Plan(scenarios_left, peers_left, missing)


def measure(scenario: Scenario, peer: Peer, number: int, settings: Settings, behind: Upstreams, home: Path) -> Run:
    """One run with a fresh proxy; what goes wrong becomes its C{error}."""
    directory = home / f"{scenario.name}-{peer.name}-{number}"
    connections = settings.idle + FIRST_CONNECTIONS + 500
    try:
        with peers.proxy(peer, directory, settings.proxy_core, behind, connections) as proxy:
            found: Measured = scenario.run(proxy, settings)
    except (ProcessFailed, OSError, LookupError, ValueError) as error:
        return Run(scenario.name, peer.name, number, error=str(error) or repr(error))
    # both cores: who disturbs the load spoils the latencies, and how much work the proxy finds at each wake-up
    foreign = found.foreign_load if peer.name == DIRECT else max(found.foreign_proxy, found.foreign_load)
    return Run(
        scenario.name,
        peer.name,
        number,
        found.values,
        found.notes,
        foreign_proxy=found.foreign_proxy,
        foreign_load=found.foreign_load,
        noisy=scenario.timed and foreign > settings.noise,
    )


def counted(runs: Sequence[Run]) -> list[Run]:
    """Of one proxy's runs in one scenario those that count: without error, and quiet if any is."""
    good = [run for run in runs if not run.error]
    return [run for run in good if not run.noisy] or good


def add_differences(runs: Sequence[Run], scenario: Scenario) -> None:
    """Fill in the metrics that are a difference to direct traffic: the same round's, or the median if it was noisy."""
    mine = [run for run in runs if run.scenario == scenario.name and not run.error]
    direct = {run.round: run.values for run in counted([run for run in mine if run.proxy == DIRECT])}
    if not direct:
        return
    for metric in scenario.metrics:
        if metric.added is None:
            continue
        usual = statistics.median(values[metric.added] for values in direct.values())
        for run in mine:
            if run.proxy != DIRECT:
                base = direct[run.round][metric.added] if run.round in direct else usual
                run.values[metric.key] = run.values[metric.added] - base


def execute(what: Plan, settings: Settings, home: Path, report: Callable[[Run], None]) -> list[Run]:
    """Measure everything; C{report} hears of each run as it ends. Files go to the directory C{home}."""
    runs: list[Run] = []
    tools = frozenset(tool for tool in TOOLS if shutil.which(tool))
    with upstreams(home, settings.load_core, tools) as behind:
        for number in range(1, settings.rounds + 1):
            for scenario, peer in what.pairs():
                run = measure(scenario, peer, number, settings, behind, home)
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
                lacking = [metric.key for metric in scenario.expected(peer.name) if metric.key not in run.values]
                words += [f"{place}: no {key}" for key in lacking]
    return words


def flame_graph(scenario: Scenario, peer: Peer, settings: Settings, home: Path, output: Path) -> None:
    """A flame graph of C{peer} under C{scenario}, from a run of its own whose figures count nowhere."""
    tools = frozenset(tool for tool in TOOLS if shutil.which(tool))
    with (
        upstreams(home, settings.load_core, tools) as behind,
        peers.proxy(peer, home / "profile", settings.proxy_core, behind, settings.idle) as proxy,
    ):
        assert proxy.pid is not None, f"{peer.name} has no process"
        record(proxy.pid, lambda: scenario.run(proxy, settings), settings.load_core, output)
