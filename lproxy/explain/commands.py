# -*- test-case-name: tests.explain.test_commands -*-
"""
The commands C{lproxy routes} and C{lproxy explain}: their arguments, and what they print.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

from lproxy.profiles import ENDS
from lproxy.target import split_host_port

ERRORS, WARNINGS = 2, 1

#: reads a configuration, or without a file the embedded one, and says on standard error what is wrong with it; a
#: L{Loaded<lproxy.configfile.Loaded>}, which is imported when it is needed, as all is here
Read = Callable[[str | None], Any]


def describes(file: str) -> bool:
    """Whether C{file} has resources of Kubernetes, and is no configuration."""
    return file.endswith(ENDS) or os.path.isdir(file)


def told(problems: Iterable[Any]) -> int:
    """Say C{problems} on standard error; the exit status: 0, 1 for warnings, 2 for errors."""
    problems = list(problems)
    for problem in problems:
        print(problem, file=sys.stderr)
    return worst(problems)


def worst(problems: Iterable[Any]) -> int:
    """The exit status that C{problems} are."""
    return max((ERRORS if problem.severity == "error" else WARNINGS for problem in problems), default=0)


def add(commands: Any, read: Read) -> None:
    """Both commands."""
    command = commands.add_parser(
        "routes", help="list the routes in files, as they are read: exit 0, 1 (warnings) or 2 (errors)"
    )
    command.add_argument(
        "file",
        metavar="FILE",
        nargs="+",
        help=f"a configuration, or a folder or file ({', '.join(ENDS)}) of ServiceProfiles, HTTPRoutes and GRPCRoutes",
    )
    command.set_defaults(run=lambda arguments: routes(arguments, read))
    command = commands.add_parser(
        "explain", help="what becomes of a request, and why: which listener, service, route and backends it gets"
    )
    command.add_argument("method", metavar="METHOD", help="GET, for example")
    command.add_argument("url", metavar="URL", help="http://web.local/books?page=2, for example")
    command.add_argument(
        "-H",
        "--header",
        metavar="HEADER",
        action="append",
        default=[],
        help='"NAME: VALUE", as often as need be',
    )
    command.add_argument("--config", "-c", metavar="FILE", help="the configuration; built-in defaults otherwise")
    command.add_argument("--listener", metavar="NAME", help="by name; else the first where requests choose where to go")
    command.add_argument(
        "--original-dst", metavar="IP:PORT", help="where its connection was going, where it is redirected by iptables"
    )
    command.set_defaults(run=lambda arguments: explain(arguments, read))


def routes(arguments: argparse.Namespace, read: Read) -> int:
    """List the routes in files; the status of the worst."""
    # what commands need is imported when they run
    from lproxy.explain import listing

    status = 0
    files = [file for file in arguments.file if describes(file)]
    lines: list[str] = []
    for file in arguments.file:
        if file in files:
            continue
        loaded = read(file)
        status = max(status, ERRORS if loaded.config is None else worst(loaded.problems))
        if loaded.config is not None:
            lines += listing.of_config(loaded.config)
    if files:
        more, problems = listing.of_files(files)
        lines += more
        status = max(status, told(problems))
    if lines:
        print("\n".join(lines))
    elif status < ERRORS:
        # of what is wrong nobody knows whether it has some
        print("there are no routes")
    return status


def explain(arguments: argparse.Namespace, read: Read) -> int:
    """Say what becomes of a request; 2 where that cannot be said."""
    from lproxy.app.profiles import as_of_now
    from lproxy.discover.memory import Memory
    from lproxy.discover.static import Static

    try:
        from lproxy.protocols.http.explain.request import NoRequest, asked
        from lproxy.protocols.http.explain.route import CannotExplain, Explainer
    except ModuleNotFoundError:
        print("lproxy: requests are HTTP's, which this lproxy has not", file=sys.stderr)
        return ERRORS

    loaded = read(arguments.config)
    if loaded.config is None:
        return ERRORS
    try:
        to = split_host_port(arguments.original_dst) if arguments.original_dst is not None else None
        request = asked(arguments.method, arguments.url, arguments.header)
        static = Static(loaded.config.services, Memory())
        explainer = Explainer(loaded.config, static, as_of_now(loaded.config, static))
        found = explainer.explain(request, explainer.listener(arguments.listener), to)
    except (NoRequest, CannotExplain, ValueError) as error:
        print(f"lproxy: {error}", file=sys.stderr)
        return ERRORS
    print("\n".join(explainer.lines(request, found)))
    return 0
