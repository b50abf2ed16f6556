"""
C{python -m benchmark}: see C{--help}.
"""

import argparse
import os
import resource
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from benchmark import branches, compare, folder, matrix, page, peers, plot, report, summary
from benchmark.branches import NoBranch
from benchmark.folder import Folder
from benchmark.matrix import Matrix, WrongMatrix
from benchmark.peers import DIRECT, Peer
from benchmark.process import ProcessFailed
from benchmark.profile import PROFILERS, Profiler
from benchmark.scenarios import FIRST_CONNECTIONS, SCENARIOS, Scenario
from benchmark.session import ALL_PEERS, ALL_SCENARIOS, Plan, Run, execute, incomplete, plan, profile
from benchmark.settings import TINY, Settings

DESCRIPTION = """\
Measure what lproxy costs beside nginx, HAProxy, Envoy and Twisted's own proxies, all in one run on this machine.

The proxy under test has one core for itself; the load and what stands behind the proxy share another
one. The figure to look at is the CPU that the proxy uses for a unit of work: it says more than requests
per second, for those depend on the load program too. Only figures of the same run may be compared, best
as ratios. Nothing else should run meanwhile; a round in which other programs used the two cores is
recognised and left out.

What is found is left in benchmark/out/<date>-<branch>/: open index.html there.
"""

EPILOG = """\
scenarios:
{scenarios}

further commands, each with a --help of its own:
  python -m benchmark compare A B      what differs between two results beyond the noise
  python -m benchmark plot A B         two results in one picture (also: benchmark/plot.py A B)
  python -m benchmark page FOLDER      make a folder's index.html anew
  python -m benchmark.flame FILE       a flame graph of folded stacks

examples:
  python -m benchmark                                  HTTP/1, TCP, connections, memory: under ten minutes
  python -m benchmark --only http --proxies lproxy,envoy --seconds 3 --rounds 1
  python -m benchmark --branch main~1 --branch main    two revisions, each in its own environment, and compared
  python -m benchmark --matrix                         fortio: bodies of 10, 200 and 10,000 bytes at 1000/s
  python -m benchmark --matrix rate=1000,max reactor=epoll,poll,select,asyncio,uvloop python=none,-O --proxies lproxy
  python -m benchmark --only kafka                     Kafka's own tools (Java and Maven): about ten minutes
  python -m benchmark --only http --proxies lproxy --rounds 1 --profile cpu,heap
  python -m benchmark --custom 'old=env -C ../old {python} -m twisted lproxy --config {{config}}'
  python -m benchmark --tiny                           does everything still work? For CI; its times mean nothing

exit status: 0 all results are complete; 1 some are not (they are listed), or lproxy logged an error or leaked;
2 wrong usage, or nothing to measure.
With LPROXY_DENY_WARNINGS=1 in the environment (as in CI) a proxy or tool that is not installed counts as incomplete.
"""

#: one load, one other reactor: each part of the matrix is gone through
TINY_MATRIX = ("body=200", "rate=200", "connections=4", "reactor=epoll,asyncio")
COMMANDS = {"compare": compare.main, "plot": plot.main, "page": page.main}
#: names for several scenarios
TOGETHER = {"kafka": [name for name in ALL_SCENARIOS if name.startswith("kafka-")], "all": list(ALL_SCENARIOS)}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    scenarios = "\n".join(f"  {name:18} {scenario.question}" for name, scenario in ALL_SCENARIOS.items())
    result = argparse.ArgumentParser(
        prog="python -m benchmark",
        description=DESCRIPTION,
        epilog=EPILOG.format(scenarios=scenarios, python=Path(sys.executable).name),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = result.add_argument_group("what is measured")
    what.add_argument(
        "--only",
        metavar="A,B",
        help=f"scenarios to run (default: {','.join(SCENARIOS)}; {' and '.join(TOGETHER)} are several)",
    )
    what.add_argument(
        "--proxies",
        metavar="A,B",
        help=f"of {','.join(ALL_PEERS)} (default: all; {DIRECT} = the client talks to the upstream). With --branch the "
        f"default is {DIRECT} alone",
    )
    what.add_argument(
        "--branch",
        metavar="REVISION",
        action="append",
        default=[],
        help="one proxy more: lproxy of that git revision (a branch, a tag, HEAD~1), from a worktree, in an "
        "environment with what it requires. The first is what the others are compared with",
    )
    what.add_argument(
        "--custom",
        metavar="NAME=COMMAND",
        action="append",
        default=[],
        help="one proxy more: a command with {http} {tcp} {echo} for the ports to listen on and {up_http} {up_tcp} "
        "{up_echo} for the upstreams', or {config} for lproxy's file",
    )
    what.add_argument(
        "--matrix",
        metavar="KEY=A,B",
        nargs="*",
        help="loads of fortio's, every combination, instead of the scenarios (with --only: besides): protocol=http,tcp "
        "body=10,200,10000 rate=1000,max connections=10; and on what Python programs run: "
        f"reactor={','.join(matrix.REACTORS)} python=none,-O,'-X dev'; iterations=3 or more",
    )
    how = result.add_argument_group("how")
    how.add_argument(
        "--seconds", type=float, help="length of a measured run (default: 3; wrk and iperf3: whole seconds)"
    )
    how.add_argument("--warmup", type=float, help="seconds of load before each measured run (default: 1)")
    how.add_argument("--rounds", type=int, help="how often everything is measured (default: 3)")
    how.add_argument("--rate", type=float, help="requests per second of http-rate (default: 2000)")
    how.add_argument("--idle", type=int, metavar="N", help="connections of idle (default: 10000)")
    how.add_argument("--records", type=int, metavar="N", help="records of 1,000 bytes for Kafka (default: 400000)")
    how.add_argument(
        "--noise",
        type=float,
        metavar="SHARE",
        help="leave a round out when others used more than this share of either core (default: 0.1)",
    )
    how.add_argument("--proxy-core", type=int, metavar="N", help="core of the proxy (default: the first we may use)")
    how.add_argument(
        "--load-core", type=int, metavar="N", help="core of load and upstreams (default: the last we may use)"
    )
    how.add_argument("--tiny", action="store_true", help="one very short round of everything but Kafka")
    after = result.add_argument_group("what comes of it")
    after.add_argument("--out", type=Path, metavar="FOLDER", help="a new or empty folder (default: see above)")
    after.add_argument(
        "--profile",
        metavar="A,B",
        help=f"afterwards each scenario once more, with lproxy under a profiler: {','.join(PROFILERS)}",
    )
    return result


def settings_of(options: argparse.Namespace, complain: argparse.ArgumentParser) -> Settings:
    """The settings: the defaults (or the tiny ones), changed by what was given, with cores that exist."""
    cores = sorted(os.sched_getaffinity(0))
    base = replace(TINY if options.tiny else Settings(), proxy_core=cores[0], load_core=cores[-1])
    fields = ("seconds", "warmup", "rounds", "rate", "idle", "records", "noise", "proxy_core", "load_core")
    given = {field: getattr(options, field) for field in fields if getattr(options, field) is not None}
    for field, least in {"seconds": 0.1, "warmup": 0, "rounds": 0, "rate": 1, "idle": 1, "records": 100}.items():
        # written so that a number that is none is refused, too
        if not given.get(field, least) >= least:
            complain.error(f"--{field} must be at least {least}")
    for field in ("proxy_core", "load_core"):
        if given.get(field, cores[0]) not in cores:
            complain.error(f"--{field.replace('_', '-')}: we may use the cores {', '.join(map(str, cores))}")
    return replace(base, **given)


def chosen(
    given: str | None, default: Sequence[str], known: Sequence[str], what: str, complain: argparse.ArgumentParser
) -> list[str]:
    """The names in a comma-separated list, each once, or the default."""
    if given is None:
        return list(default)
    wanted = [name.strip() for name in given.split(",") if name.strip()]
    if unknown := [name for name in wanted if name not in known]:
        complain.error(f"no such {what}: {', '.join(unknown)} (there are {', '.join(known)})")
    if not wanted:
        complain.error(f"no {what} given (there are {', '.join(known)})")
    return list(dict.fromkeys(wanted))


def matrix_of(options: argparse.Namespace, complain: argparse.ArgumentParser) -> Matrix | None:
    """The matrix asked for, if any."""
    words = TINY_MATRIX if options.tiny and options.matrix is None and options.only is None else options.matrix
    if words is None:
        return None
    try:
        return matrix.parse(words)
    except WrongMatrix as error:
        complain.error(f"--matrix {error}")


def scenarios_of(
    options: argparse.Namespace, asked: Matrix | None, complain: argparse.ArgumentParser
) -> list[Scenario]:
    """What is to be measured."""
    default = [] if options.matrix is not None else list(SCENARIOS)
    names = chosen(options.only, default, [*ALL_SCENARIOS, *TOGETHER], "scenario", complain)
    names = [one for name in names for one in TOGETHER.get(name, [name])]
    found = [ALL_SCENARIOS[name] for name in dict.fromkeys(names)]
    return found + (matrix.scenarios(asked) if asked else [])


def peers_of(options: argparse.Namespace, revisions: Sequence[Peer], complain: argparse.ArgumentParser) -> list[Peer]:
    """The proxies to measure, as if all of them were installed."""
    default = [DIRECT] if options.branch else list(ALL_PEERS)
    found = [ALL_PEERS[name] for name in chosen(options.proxies, default, list(ALL_PEERS), "proxy", complain)]
    found += revisions
    for text in options.custom:
        name, equals, command = text.partition("=")
        if not equals or not name or "/" in name or name in {peer.name for peer in found} | set(ALL_PEERS):
            complain.error(f"--custom wants NAME=COMMAND with a new name, not {text!r}")
        try:
            shlex.split(command)
        except ValueError as error:
            complain.error(f"--custom {name}: {error}")
        found.append(peers.custom(name, command))
    return found


def profilers_of(options: argparse.Namespace, complain: argparse.ArgumentParser) -> list[Profiler]:
    return [PROFILERS[name] for name in chosen(options.profile, [], list(PROFILERS), "profiler", complain)]


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


def say(run: Run, what: Plan) -> None:
    """One line for a run that has ended, more when it failed."""
    name = f"  round {run.round}  {run.scenario:10} {run.proxy:10}"
    if run.error:
        shout(f"FAILED {name.strip()}: {run.error}")
        return
    scenario = next(one for one in what.scenarios if one.name == run.scenario)
    values = [
        f"{metric.title} {run.values[metric.key]:,.{metric.digits}f}"
        for metric in scenario.metrics
        if metric.key in run.values and (metric.key != "errors" or run.values[metric.key])
    ]
    others = f"others {run.foreign_proxy:.0%}/{run.foreign_load:.0%}"
    print(f"{name} {', '.join(values)}  [{', '.join([others, *run.notes, *['NOISY'] * run.noisy])}]", flush=True)


def measure(
    settings: Settings, what: Plan, into: Folder, profilers: Sequence[Profiler], revisions: Sequence[Peer]
) -> list[str]:
    """Measure, print and keep everything; returns in words what is incomplete."""
    about = report.environment(what.peers, settings, os.cpu_count() or 1, folder.branch())
    print(f"{report.heading(about)}\n", flush=True)

    def heard(run: Run) -> None:
        into.keep(run)
        say(run, what)

    runs = execute(what, settings, into.proxies, heard, into.raw)
    lacking = incomplete(what, runs, settings.rounds)
    for title, line in profile(what, settings, into.proxies, into.profiles, profilers):
        print(f"  {title}: {line}", flush=True)
        if line.startswith("FAILED"):
            lacking.append(f"profile {title}: {line}")
    questions = {
        one.name: {"question": one.question, "metrics": [metric.key for metric in one.metrics]}
        for one in what.scenarios
    }
    into.save(about, questions, runs, [*lacking, *what.missing])
    if runs:
        print("\n" + report.tables(what, runs))
        into.summary.write_text(summary.write(summary.rows(runs)))
        lacking += show(into, [peer.name for peer in revisions if peer in what.peers])
    print(f"page: {page.build(into.path)}")
    return lacking


def show(into: Folder, revisions: Sequence[str]) -> list[str]:
    """Pictures, comparisons and the page; returns in words what could not be made."""
    lacking = []
    try:
        plot.pictures(str(into.path), None, into.path / "all")
        for name in revisions[1:]:
            both = f"{into.path}:{revisions[0]}", f"{into.path}:{name}"
            text, _ = compare.report(*both)
            (into.path / f"compare-{revisions[0]}-{name}.txt".replace("/", "-")).write_text(text)
            print(f"\n{text}")
            plot.pictures(*both, into.path / f"{revisions[0]}-{name}".replace("/", "-"))
    except (plot.CannotPlot, summary.WrongSummary) as error:
        lacking.append(f"pictures: {error}")
    return lacking


def main(words: Sequence[str]) -> int:
    """The exit status."""
    if words and words[0] in COMMANDS:
        return COMMANDS[words[0]](words[1:])
    command_line = parser()
    options = command_line.parse_args(words)
    if not hasattr(os, "sched_setaffinity"):
        command_line.error("this needs Linux")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that every process of ours is stopped
    asked = matrix_of(options, command_line)
    settings = settings_of(options, command_line)
    if asked and options.rounds is None and not options.tiny:
        settings = replace(settings, rounds=asked.iterations)
    profilers = profilers_of(options, command_line)
    scenarios = scenarios_of(options, asked, command_line)
    started = time.monotonic()
    with ExitStack() as stack:
        extras = ["uvloop"] if asked and "uvloop" in asked.reactor else []
        extras += ["memray"] if any(one.name == "heap" for one in profilers) else []
        try:
            revisions = stack.enter_context(branches.branches(options.branch, list(ALL_PEERS), extras))
        except NoBranch as error:
            shout(str(error))
            return 2
        proxies = peers_of(options, revisions, command_line)
        if asked:
            proxies, revisions = (matrix.contenders(asked, one) for one in (proxies, revisions))
        what = plan(scenarios, proxies)
        for profiler in list(profilers):
            if lack := profiler.missing():
                what.missing.append(f"profile {profiler.name} left out: {lack}")
                profilers.remove(profiler)
        for line in what.missing:
            shout(f"MISSING: {line}")
        if not what.pairs() or not (settings.rounds or profilers):
            shout("nothing left to measure")
            return 2
        if settings.proxy_core == settings.load_core:
            shout("one core for proxy and load: CPU per unit is still usable, latencies and rates are not")
        problem = raise_descriptor_limit(settings.idle)
        if problem and any(one.name == "idle" for one in what.scenarios):
            shout(problem)
            return 2
        try:
            named = "-vs-".join(options.branch) or folder.branch()
            today = datetime.now(UTC).date()
            into = folder.make(options.out) if options.out else folder.new(named, today)
        except OSError as error:
            shout(f"no folder for the results: {error}")
            return 2
        os.sched_setaffinity(0, {settings.load_core})
        try:
            lacking = measure(settings, what, into, profilers, revisions)
        except ProcessFailed as error:
            shout(f"FAILED: {error}")
            return 1
    return ended(what, lacking, into, time.monotonic() - started)


def ended(what: Plan, lacking: list[str], into: Folder, seconds: float) -> int:
    """The last words, and the exit status."""
    print(f"{into.path}, after {seconds:.0f} s")
    if os.environ.get("LPROXY_DENY_WARNINGS") == "1":
        lacking += what.missing
    for line in lacking:
        shout(f"INCOMPLETE: {line.splitlines()[0]}")
    if not lacking:
        print("all results are complete" + (", as far as tools were there" if what.missing else ""))
    return 1 if lacking else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
