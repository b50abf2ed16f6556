"""
C{python -m benchmark}: see C{--help}.
"""

import argparse
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmark import peers, report
from benchmark.peers import DIRECT, LPROXY, PEERS, Peer
from benchmark.process import ProcessFailed
from benchmark.profile import py_spy
from benchmark.scenarios import FIRST_CONNECTIONS, SCENARIOS, Scenario, Settings
from benchmark.session import Plan, Run, execute, flame_graph, incomplete, plan

DESCRIPTION = """\
Measure what lproxy costs beside nginx, HAProxy and Envoy, all in one run on this machine.

The proxy under test has one core for itself; the load and what stands behind the proxy share another
one. The figure to look at is the CPU that the proxy uses for a unit of work: it says more than requests
per second, for those depend on the load program too. Only figures of the same run may be compared, best
as the ratio to Envoy's. Nothing else should run meanwhile; a round in which other programs used the
two cores is recognised and left out.
"""

EPILOG = """\
scenarios:
{scenarios}

examples:
  python -m benchmark                                  everything: 3 rounds of 10 s, about 15 minutes
  python -m benchmark --only http --proxies lproxy,envoy --seconds 3 --rounds 1
  python -m benchmark --tiny                           does everything still work? For CI; its times mean nothing
  python -m benchmark --only http --proxies lproxy --rounds 1 --profile http.svg
  python -m benchmark --custom 'old=env -C ../old {python} -m twisted lproxy --config {{config}}'

exit status: 0 all results are complete; 1 some are not (they are listed); 2 wrong usage, or nothing to measure.
With LPROXY_DENY_WARNINGS=1 in the environment (as in CI) a proxy or tool that is not installed counts as incomplete.
"""

TINY = Settings(warmup=0, seconds=0.5, rounds=1, idle=200, idle_settle=0.1, noise=1.0)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    scenarios = "\n".join(f"  {name:10} {scenario.question}" for name, scenario in SCENARIOS.items())
    result = argparse.ArgumentParser(
        prog="python -m benchmark",
        description=DESCRIPTION,
        epilog=EPILOG.format(scenarios=scenarios, python=Path(sys.executable).name),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = result.add_argument
    add("--only", metavar="A,B", help="scenarios to run (default: all)")
    add(
        "--proxies",
        metavar="A,B",
        help=f"of {','.join(PEERS)} (default: all; {DIRECT} = the client talks to the upstream)",
    )
    add(
        "--custom",
        metavar="NAME=COMMAND",
        action="append",
        default=[],
        help="one proxy more: a command with {http} {tcp} {echo} for the ports to listen on and {up_http} {up_tcp} "
        "{up_echo} for the upstreams', or {config} for lproxy's file",
    )
    add("--seconds", type=float, help="length of a measured run (default: 10; wrk and iperf3 round to whole seconds)")
    add("--warmup", type=float, help="seconds of load before each measured run (default: 2)")
    add("--rounds", type=int, help="how often everything is measured (default: 3)")
    add("--rate", type=float, help="requests per second of http-rate (default: 2000)")
    add("--idle", type=int, metavar="N", help="connections of idle (default: 10000)")
    add(
        "--noise",
        type=float,
        metavar="SHARE",
        help="leave a round out when others used more than this share of either core (default: 0.1)",
    )
    add("--proxy-core", type=int, metavar="N", help="core of the proxy (default: the first we may use)")
    add("--load-core", type=int, metavar="N", help="core of load and upstreams (default: the last we may use)")
    add(
        "--tiny",
        action="store_true",
        help="one very short round, to see that every scenario still gives complete results",
    )
    add("--json", type=Path, metavar="FILE", help="keep the raw results there")
    add(
        "--profile", type=Path, metavar="FILE.svg", help="afterwards, a flame graph of lproxy under http (needs py-spy)"
    )
    return result


def settings_of(options: argparse.Namespace) -> Settings:
    """The settings: the defaults (or the tiny ones), changed by what was given, with cores that exist."""
    cores = sorted(os.sched_getaffinity(0))
    base = replace(TINY if options.tiny else Settings(), proxy_core=cores[0], load_core=cores[-1])
    fields = ("seconds", "warmup", "rounds", "rate", "idle", "noise", "proxy_core", "load_core")
    given = {field: getattr(options, field) for field in fields if getattr(options, field) is not None}
    return replace(base, **given)


def chosen(given: str | None, known: Sequence[str], what: str, complain: argparse.ArgumentParser) -> list[str]:
    """The names in a comma-separated list, or all of them."""
    wanted = list(known) if given is None else [name.strip() for name in given.split(",") if name.strip()]
    if unknown := [name for name in wanted if name not in known]:
        complain.error(f"no such {what}: {', '.join(unknown)} (there are {', '.join(known)})")
    return wanted


def plan_of(options: argparse.Namespace, complain: argparse.ArgumentParser) -> Plan:
    """What the command line asks for, as far as this machine has the tools."""
    available: dict[str, Peer] = dict(PEERS)
    for text in options.custom:
        name, equals, command = text.partition("=")
        if not equals or name in available:
            complain.error(f"--custom wants NAME=COMMAND with a new name, not {text!r}")
        available[name] = peers.custom(name, command)
    scenarios = [SCENARIOS[name] for name in chosen(options.only, list(SCENARIOS), "scenario", complain)]
    wanted = chosen(options.proxies, list(available), "proxy", complain)
    wanted += [name for name in available if name not in PEERS and name not in wanted]
    return plan(scenarios, [available[name] for name in wanted])


def raise_descriptor_limit(idle: int) -> str | None:
    """Allow for C{idle} connections; in words why that is impossible. Children inherit the limit."""
    needed = 2 * (idle + FIRST_CONNECTIONS) + 1000  # room for a proxy that keeps an upstream connection for each
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = idle + FIRST_CONNECTIONS + 600
    if soft < needed:
        for limit in ((needed, max(needed, hard)), (min(needed, hard), hard)):
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, limit)
                break
            except (ValueError, OSError):
                continue
    limit_now = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return (
        None
        if limit_now >= enough
        else f"only {limit_now} open files allowed (ulimit -n): --idle {idle} needs {enough}"
    )


def shout(line: str) -> None:
    """A line that nobody overlooks."""
    print(f"*** {line}", flush=True)


def say(run: Run) -> None:
    """One line for a run that has ended, more when it failed."""
    what = f"  round {run.round}  {run.scenario:10} {run.proxy:10}"
    if run.error:
        shout(f"FAILED {what.strip()}: {run.error}")
        return
    scenario = SCENARIOS[run.scenario]
    values = [
        f"{metric.title} {run.values[metric.key]:,.{metric.digits}f}"
        for metric in scenario.metrics
        if metric.key in run.values
    ]
    others = f"others {run.foreign_proxy:.0%}/{run.foreign_load:.0%}"
    print(f"{what} {', '.join(values)}  [{', '.join([others, *run.notes, *['NOISY'] * run.noisy])}]", flush=True)


def measure(options: argparse.Namespace, settings: Settings, what: Plan, scenario: Scenario, home: Path) -> list[str]:
    """Measure, print and keep; returns in words what is incomplete. C{scenario} is the one to profile."""
    about = report.environment(what.peers, settings, os.cpu_count() or 1)
    print(report.heading(about) + "\n", flush=True)
    runs = execute(what, settings, home, say)
    print("\n" + report.tables(what, runs))
    if options.json:
        report.save(options.json, about, runs)
        print(f"raw results: {options.json}")
    lacking = incomplete(what, runs, settings.rounds)
    if options.profile:
        lproxy = next((peer for peer in what.peers if peer.name == LPROXY), None)
        if lproxy is None:
            shout("no flame graph: lproxy is not among the proxies measured")
        elif py_spy() is None:
            shout("no flame graph: py-spy is not installed: pip install py-spy")
        else:
            try:
                flame_graph(scenario, lproxy, settings, home, options.profile)
                print(f"flame graph: {options.profile}")
            except ProcessFailed as error:
                lacking.append(f"flame graph: {error}")
    return lacking


def main() -> int:
    command_line = parser()
    options = command_line.parse_args()
    if not hasattr(os, "sched_setaffinity"):
        command_line.error("this needs Linux")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that every process of ours is stopped
    settings = settings_of(options)
    what = plan_of(options, command_line)
    for line in what.missing:
        shout(f"MISSING: {line}")
    if not what.pairs():
        shout("nothing left to measure")
        return 2
    if settings.proxy_core == settings.load_core:
        shout("one core for proxy and load: CPU per unit is still usable, latencies and rates are not")
    problem = raise_descriptor_limit(settings.idle)
    if problem and SCENARIOS["idle"] in what.scenarios:
        shout(problem)
        return 2
    started = time.monotonic()
    os.sched_setaffinity(0, {settings.load_core})
    with tempfile.TemporaryDirectory(prefix="lproxy-benchmark-") as home:
        lacking = measure(options, settings, what, SCENARIOS["http"], Path(home))
    print(f"{time.monotonic() - started:.0f} s")
    if os.environ.get("LPROXY_DENY_WARNINGS") == "1":
        lacking += what.missing
    for line in lacking:
        shout(f"INCOMPLETE: {line.splitlines()[0]}")
    if not lacking:
        print("all results are complete" + (", as far as tools were there" if what.missing else ""))
    return 1 if lacking else 0


if __name__ == "__main__":
    sys.exit(main())
