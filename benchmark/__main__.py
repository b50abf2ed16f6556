# -*- test-case-name: tests.benchmark.test_options -*-
"""
C{python -m benchmark}: see C{--help}.
"""

import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime

from benchmark import branches, compare, folder, matrix, options, page, plot, report, rst, summary
from benchmark.branches import NoBranch
from benchmark.folder import Folder
from benchmark.peer import Peer
from benchmark.profile import Profiler
from benchmark.scenarios import FIRST_CONNECTIONS
from benchmark.session import ALL_PEERS, Plan, Run, execute, incomplete, plan, profile
from benchmark.settings import Settings

COMMANDS = {"compare": compare.main, "plot": plot.main, "page": page.main, "rst": rst.main}


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
    questions = {
        one.name: {"question": one.question, "metrics": [metric.key for metric in one.metrics]}
        for one in what.scenarios
    }
    into.save(about, questions, runs, [*lacking, *what.missing])
    for title, line in profile(what, settings, into.proxies, into.profiles, profilers):
        print(f"  {title}: {line}", flush=True)
        if line.startswith("FAILED"):
            lacking.append(f"profile {title}: {line}")
    into.save(about, questions, runs, [*lacking, *what.missing])
    if runs:
        print("\n" + report.tables(what, runs))
        into.summary.write_text(summary.write(summary.rows(runs)))
        ours = [peer.name for peer in (*revisions, *what.peers) if peer.ours and peer in what.peers]
        lacking += show(into, list(dict.fromkeys(ours)) if revisions else [])
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
    command_line = options.parser()
    given = command_line.parse_args(words)
    if not hasattr(os, "sched_setaffinity"):
        command_line.error("this needs Linux")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, so that every process of ours is stopped
    asked = options.matrix_of(given, command_line)
    settings = options.settings_of(given, command_line)
    if asked and given.rounds is None and not given.tiny:
        settings = replace(settings, rounds=asked.iterations)
    profilers = options.profilers_of(given, command_line)
    scenarios = options.scenarios_of(given, asked, command_line)
    # everything that can be wrong is told before anything is made
    proxies = options.peers_of(given, command_line)
    extras = ["uvloop"] if asked and "uvloop" in asked.reactor else []
    extras += ["memray"] if any(one.name == "heap" for one in profilers) else []
    if given.out and given.out.exists() and (not given.out.is_dir() or any(given.out.iterdir())):
        shout(f"no folder for the results: {given.out} is not empty, or no folder")
        return 2
    with ExitStack() as stack:
        try:
            taken = [*ALL_PEERS, *(peer.name for peer in proxies)]
            revisions = stack.enter_context(branches.branches(given.branch, taken, extras))
        except NoBranch as error:
            shout(str(error))
            return 2
        if asked:
            proxies, revisions = (matrix.contenders(asked, one) for one in (proxies, revisions))
        what = prepared(plan(scenarios, [*proxies, *revisions]), profilers)
        if problem := impossible(what, settings, profilers):
            shout(problem)
            return 2
        try:
            named = "-vs-".join(given.branch) or folder.branch()
            today = datetime.now(UTC).date()
            into = folder.make(given.out) if given.out else folder.new(named, today)
        except OSError as error:
            shout(f"no folder for the results: {error}")
            return 2
        started = time.monotonic()
        os.sched_setaffinity(0, {settings.load_core})
        lacking = measure(settings, what, into, profilers, revisions)
    return ended(what, lacking, into, time.monotonic() - started)


def prepared(what: Plan, profilers: list[Profiler]) -> Plan:
    """C{what}, once everybody has been told what is missing; profilers that are, are taken out of the list."""
    for profiler in list(profilers):
        if lack := profiler.missing():
            what.missing.append(f"profile {profiler.name} left out: {lack}")
            profilers.remove(profiler)
    for line in what.missing:
        shout(f"MISSING: {line}")
    for line in what.unable:
        print(f"left out: {line}", flush=True)
    return what


def impossible(what: Plan, settings: Settings, profilers: Sequence[Profiler]) -> str | None:
    """In words why nothing can be measured."""
    if not what.pairs() or not (settings.rounds or profilers):
        return "nothing left to measure"
    if settings.proxy_core == settings.load_core:
        shout("one core for proxy and load: CPU per unit is still usable, latencies and rates are not")
    problem = raise_descriptor_limit(settings.idle)
    return problem if any(one.name.endswith("idle") for one in what.scenarios) else None


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
