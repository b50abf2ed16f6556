# -*- test-case-name: tests.test_cli -*-
"""
The C{lproxy} command: C{run}, C{check}, C{demo}, C{plugins}, C{identity}, C{iptables}, C{inject},
C{routes}, C{explain}, C{top}, C{tap}. C{lproxy run} is short for C{twistd -n lproxy}.

Over 300 lines: all commands with their arguments, one after the other.
"""

from __future__ import annotations

import argparse
import errno
import io
import os
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

import lproxy
from lproxy.admin.asking import why
from lproxy.app.signals import undo
from lproxy.build import version
from lproxy.config import Admin, Config
from lproxy.explain import commands as explain
from lproxy.sidecar import commands as sidecar
from lproxy.terminal import commands as terminal
from lproxy.terminal.asking import ask, secure

#: seconds for the admin server's answer
ANSWER = 10.0
#: why no more can be written
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def run(arguments: argparse.Namespace) -> int:
    """Run the proxy in the foreground, as C{twistd -n lproxy} does."""
    # what commands need is imported when they run: it takes half a second, and Ctrl-C may come before
    from twisted.scripts import twistd

    command = ["twistd", "--nodaemon", "--pidfile="]
    if arguments.json:
        command.append("--logger=lproxy.app.log.json_lines")
    command.append("lproxy")
    if arguments.file is not None:
        command += ["--config", arguments.file]
    if arguments.takeover is not None:
        command += ["--takeover", arguments.takeover]
    # twistd reads its own command line
    sys.argv = command
    twistd.run()
    return 0


def check(arguments: argparse.Namespace) -> int:
    """Check configuration files; the status of the worst."""
    from lproxy.tap import plugins, read, report

    found = plugins()
    worst = 0
    for file in arguments.file:
        if explain.describes(file):
            worst = max(worst, check_profiles(file))
            continue
        loaded = read(file, found, here=True, profiles=True)
        status = report(loaded)
        if not status:
            print(f"{file}: no problem found")
        if loaded.config is not None and arguments.against is not None:
            status = max(status, against(file, loaded.config, arguments))
        worst = max(worst, status)
    return worst


def check_profiles(file: str) -> int:
    """Check a file of profiles, or a folder of such; the status."""
    from lproxy.app.profiles import problems
    from lproxy.config import ProfileFiles

    status = explain.told(problems(Config(profiles=ProfileFiles((file,)))))
    if not status:
        print(f"{file}: no problem found")
    return status


def _loaded(file: str | None) -> Any:
    """The configuration in C{file}, or the embedded one; on standard error, what is wrong with it."""
    from lproxy.app.profiles import problems
    from lproxy.configfile import Loaded
    from lproxy.tap import read, report

    loaded = read(file)
    if loaded.config is not None:
        # what is wrong with files of profiles keeps nobody from starting
        loaded = Loaded(loaded.config, (*loaded.problems, *problems(loaded.config)))
    report(loaded)
    return loaded


def against(file: str, config: Config, arguments: argparse.Namespace) -> int:
    """Print what is different in a running proxy, by its admin server; C{2} where that cannot be asked."""
    import json
    from http.client import HTTPException

    from lproxy.configfile import render
    from lproxy.configfile.difference import RESTART, differences

    admin: str = arguments.against
    try:
        live = json.loads(ask(admin, "config", ANSWER, arguments))
        lines = list(differences(live, render(config)))
    except (OSError, ValueError, HTTPException, KeyError, TypeError, AttributeError) as e:
        print(f"lproxy: {admin} cannot be asked for its configuration: {why(e)}", file=sys.stderr)
        return 2
    restart = sum(line.endswith(f"({RESTART})") for line in lines)
    besides = f", and {restart} {'takes' if restart == 1 else 'take'} a restart" if restart else ""
    print(f"{file}: a reload would change {len(lines) - restart or 'nothing'} at {admin}{besides}")
    for line in lines:
        print(f"  {line}")
    return 0


def probe(arguments: argparse.Namespace) -> int:
    """Ask a running proxy whether it is ready, or alive; C{1} where it is not."""
    from http.client import HTTPException
    from urllib.error import HTTPError

    try:
        page = "live" if arguments.live else "ready"
        print(ask(arguments.admin, page, arguments.timeout, arguments).decode().strip())
    except HTTPError as e:
        print(e.read().decode("utf-8", "replace").strip(), file=sys.stderr)
        return 1
    except (OSError, ValueError, HTTPException) as e:
        print(f"lproxy: {arguments.admin} does not answer: {why(e)}", file=sys.stderr)
        return 1
    return 0


def plugins(arguments: argparse.Namespace) -> int:
    """List the protocols there are; C{1} if one is broken."""
    from lproxy.app.plugins import find, tried

    found = tried(find())
    for one in found:
        print(f"{one.name:<16} {one.version or '-':<10} {one.file}")
        if one.error:
            print(f"    broken: {one.error}")
    return 1 if any(one.error for one in found) else 0


def demo(arguments: argparse.Namespace) -> int:
    """Run the proxy between toy upstreams and a little traffic, until Ctrl-C."""
    # imported only where it runs; the other commands do without
    from twisted.internet import reactor

    from lproxy.app import demo, demo_grpc, demo_identity
    from lproxy.app.clock import monotonic

    monotonic(reactor)
    undo()
    run = demo_identity.run if arguments.identity else demo_grpc.run if arguments.grpc else demo.run
    return run(reactor, once=arguments.once)


def identity_init(arguments: argparse.Namespace) -> int:
    """Make an authority for development."""
    from lproxy.identity.develop import init

    return _told(lambda now: init(arguments.folder, arguments.name, arguments.days, now, arguments.force))


def identity_issue(arguments: argparse.Namespace) -> int:
    """Make a certificate of it."""
    from lproxy.identity.develop import issue

    names = [*arguments.name, *arguments.spiffe, *arguments.ip]
    return _told(lambda now: issue(arguments.folder, names, arguments.days, now, arguments.out, arguments.force))


def identity_show(arguments: argparse.Namespace) -> int:
    """Say what files hold; the status of the worst."""
    from lproxy.app.identities import wall_clock
    from lproxy.identity.material import anchors
    from lproxy.identity.pem import MaterialError
    from lproxy.identity.show import show

    now = wall_clock()
    try:
        trust = anchors(arguments.trust, now) if arguments.trust is not None else None
    except MaterialError as e:
        print(f"lproxy: {e}", file=sys.stderr)
        return 2
    worst = 0
    for file in arguments.file:
        shown = show(file, trust, now)
        print("\n".join(shown.lines), file=sys.stdout if len(shown.lines) > 1 else sys.stderr)
        worst = max(worst, shown.status)
    return worst


def _told(do: Callable[[datetime], list[str]]) -> int:
    """Print what was done, or why it cannot be."""
    from lproxy.app.identities import wall_clock
    from lproxy.identity.develop import CannotIssue

    try:
        print("\n".join(do(wall_clock())))
    except CannotIssue as e:
        print(f"lproxy: {e}", file=sys.stderr)
        return 2
    return 0


def _identity(commands: Any) -> None:
    """The arguments of C{lproxy identity}."""
    parser = commands.add_parser("identity", help="certificates: make them for development, see what files hold")
    parts = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    command = parts.add_parser("init", help="make an authority for development: ca.pem and ca.key in a folder")
    command.add_argument("folder", metavar="DIR")
    command.add_argument("--name", default="mesh.local", help="what it is called (default: %(default)s)")
    command.add_argument("--days", type=float, default=3650, help="how long it lives (default: %(default)s)")
    command.add_argument("--force", action="store_true", help="overwrite the one that is there")
    command.set_defaults(run=identity_init)
    command = parts.add_parser("issue", help="make a certificate of that authority, and its key")
    command.add_argument("folder", metavar="DIR", help="where the authority is")
    command.add_argument("name", metavar="NAME", nargs="+", help="DNS name or SPIFFE ID; the first names the files")
    command.add_argument("--spiffe", metavar="ID", action="append", default=[], help="also for this SPIFFE ID")
    command.add_argument("--ip", metavar="ADDRESS", action="append", default=[], help="also for this IP address")
    command.add_argument("--days", type=float, default=90, help="how long it lives (default: %(default)s)")
    command.add_argument("--out", metavar="DIR", help="where to write it (default: where the authority is)")
    command.add_argument("--force", action="store_true", help="overwrite what is there")
    command.set_defaults(run=identity_issue)
    command = parts.add_parser("show", help="what files hold, and whether it verifies: exit 0, 1 (warnings) or 2 (no)")
    command.add_argument("file", metavar="FILE", nargs="+", help="PEM: certificates, keys")
    command.add_argument("--trust", metavar="FILE", help="the anchors that they are to lead to, or a folder of them")
    command.set_defaults(run=identity_show)


def parser() -> argparse.ArgumentParser:
    """Of all commands; what is parsed has C{run}, which takes it and returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="lproxy",
        description=lproxy.__doc__,
        epilog="As a daemon, with a pidfile or another user's rights: twistd [OPTIONS] lproxy [--config FILE]",
    )
    parser.add_argument("--version", action="version", version=f"lproxy {version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    command = commands.add_parser("run", help="run the proxy, until Ctrl-C: short for twistd -n lproxy [--config FILE]")
    command.add_argument("file", metavar="FILE", nargs="?", help="the configuration; built-in defaults otherwise")
    command.add_argument("--json", action="store_true", help="write the log as lines of JSON")
    command.add_argument(
        "--takeover",
        metavar="ADMIN",
        help="take the place of the lproxy whose admin server is here, IP:port, without a gap",
    )
    command.set_defaults(run=run)
    command = commands.add_parser("check", help="check configuration files: exit 0, 1 (warnings) or 2 (errors)")
    command.add_argument("file", metavar="FILE", nargs="+", help="- is standard input")
    command.add_argument(
        "--against",
        metavar="ADMIN",
        help="also tell what a reload would change in the proxy whose admin server is here: IP:port, or https://IP:port",
    )
    secure(command)
    command.set_defaults(run=check)
    command = commands.add_parser("demo", help="two toy upstreams, the proxy in front of them, and a little traffic")
    command.add_argument("--once", action="store_true", help="end after the traffic instead of waiting for Ctrl-C")
    kinds = command.add_mutually_exclusive_group()
    kinds.add_argument("--grpc", action="store_true", help="a service of gRPC instead, and calls; needs grpcio")
    kinds.add_argument(
        "--identity", action="store_true", help="two proxies instead, with mutual TLS between them, and who is who"
    )
    command.set_defaults(run=demo)
    command = commands.add_parser("probe", help="ask a running proxy whether it is ready: exit 0, or 1")
    command.add_argument("admin", metavar="ADMIN", nargs="?", default=Admin().address, help=f"else {Admin().address}")
    command.add_argument("--live", action="store_true", help="whether it is alive, though perhaps draining")
    command.add_argument("--timeout", metavar="SECONDS", type=float, default=2.0, help="for its answer (2)")
    secure(command)
    command.set_defaults(run=probe)
    command = commands.add_parser("plugins", help="list the protocols that were found")
    command.set_defaults(run=plugins)
    _identity(commands)
    terminal.add(commands, os.environ)
    sidecar.add(commands)
    explain.add(commands, _loaded)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command that is typed; the exit status."""
    arguments = parser().parse_args(argv)
    return printed(lambda: arguments.run(arguments))


def printed(command: Callable[[], int]) -> int:
    """
    The status of C{command}, all of whose output has found its way.

    What the terminal has no letter for is escaped, as on standard error. Who reads no further, as C{head} does, has had
    enough, and that is no failure; what finds no room is one.
    """
    if sys.stdout is None:
        # whoever has started us has closed it
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for as long as there is a process
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        status = command()
        sys.stdout.flush()
    except BrokenPipeError:
        status = 0
    except OSError as e:
        if e.errno not in FULL:
            raise
        print(f"lproxy: cannot be written: {e.strerror}", file=sys.stderr)
        status = 1
    else:
        return status
    # Python would complain once more as it ends
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    return status
