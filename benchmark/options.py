# -*- test-case-name: tests.benchmark.test_options -*-
"""
The command line of C{python -m benchmark}: what may be said, and what it means.
"""

import argparse
import math
import os
import re
import shlex
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmark import http2, kafka, matrix, observing, peers, profiles, tail, tls
from benchmark.matrix import Matrix, WrongMatrix
from benchmark.peer import DIRECT, Peer
from benchmark.profile import PROFILERS, Profiler
from benchmark.scenarios import SCENARIOS, Scenario
from benchmark.session import ALL_PEERS, ALL_SCENARIOS
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
  python -m benchmark rst FOLDER       its tables, for a document
  python -m benchmark.flame FILE       a flame graph of folded stacks
  python -m benchmark.workers          two workers beside one, and takeovers under load
  python -m benchmark.endurance        what is lost under reloads, takeovers, killed workers and a full disk

examples:
  python -m benchmark                                  HTTP/1, TCP, connections, memory: under ten minutes
  python -m benchmark --only tls --proxies lproxy,nginx,haproxy,envoy      requests, handshakes, bytes, two hops
  python -m benchmark --only http2 --proxies lproxy,nginx,haproxy,envoy    gRPC, HTTP/2 and crossings of versions
  python -m benchmark --only profiles --proxies lproxy,nginx,haproxy,envoy   twenty routes, a thousand profiles
  python -m benchmark --only observing --proxies lproxy,nginx,haproxy,envoy  access log, traces, ids, scrapes
  python -m benchmark --only http --proxies lproxy,envoy --seconds 3 --rounds 1
  python -m benchmark --only http --proxies envoy,haproxy,lproxy,lproxy-compiled   what compiling brings
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
#: names for several scenarios
TOGETHER = {
    "plain": list(SCENARIOS),
    "tls": list(tls.SCENARIOS),
    "http2": list(http2.SCENARIOS),
    "profiles": [*profiles.SCENARIOS, *tail.SCENARIOS],
    "observing": list(observing.SCENARIOS),
    "kafka": list(kafka.SCENARIOS),
    "all": list(ALL_SCENARIOS),
}


class Help(argparse.RawDescriptionHelpFormatter):
    """Breaks no name in two."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False, break_long_words=False)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    scenarios = "\n".join(f"  {name:18} {scenario.question}" for name, scenario in ALL_SCENARIOS.items())
    result = argparse.ArgumentParser(
        prog="python -m benchmark",
        description=DESCRIPTION,
        epilog=EPILOG.format(scenarios=scenarios, python=Path(sys.executable).name),
        formatter_class=Help,
    )
    what = result.add_argument_group("what is measured")
    what.add_argument(
        "--only",
        metavar="A,B",
        help=f"scenarios to run (default: {', '.join(SCENARIOS)}; {' and '.join(TOGETHER)} are several)",
    )
    what.add_argument(
        "--proxies",
        metavar="A,B",
        help=f"of {', '.join(ALL_PEERS)} (default: all; {DIRECT} = the client talks to the upstream). With --branch "
        f"the default is {DIRECT} alone",
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
        help="loads of fortio's, every combination, instead of the scenarios (with --only: besides): "
        "protocol=http,http-churn,tcp body=10,200,10000 rate=1000,max connections=10; and on what Python programs run: "
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
    for field, least in {
        "seconds": 0.1,
        "warmup": 0,
        "rounds": 0,
        "rate": 1,
        "idle": 1,
        "records": 100,
        "noise": 0,
    }.items():
        # written so that a number that is none is refused, too
        if not least <= given.get(field, least) < math.inf:
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


def peers_of(options: argparse.Namespace, complain: argparse.ArgumentParser) -> list[Peer]:
    """The proxies to measure besides revisions, as if all of them were installed."""
    default = [DIRECT] if options.branch else list(ALL_PEERS)
    found = [ALL_PEERS[name] for name in chosen(options.proxies, default, list(ALL_PEERS), "proxy", complain)]
    for text in options.custom:
        name, _, command = text.partition("=")
        if (
            not command.strip()
            or not re.fullmatch(r"[\w.+~-]+", name)
            or name in {peer.name for peer in found} | set(ALL_PEERS)
        ):
            complain.error(f"--custom wants NAME=COMMAND with a new name, not {text!r}")
        try:
            shlex.split(command)
        except ValueError as error:
            complain.error(f"--custom {name}: {error}")
        found.append(peers.custom(name, command))
    return found


def profilers_of(options: argparse.Namespace, complain: argparse.ArgumentParser) -> list[Profiler]:
    return [PROFILERS[name] for name in chosen(options.profile, [], list(PROFILERS), "profiler", complain)]
