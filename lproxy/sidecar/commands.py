# -*- test-case-name: tests.sidecar.test_commands -*-
"""
The commands C{lproxy iptables} and C{lproxy inject}: their arguments, and what they print.

Results go to the standard output, what is of interest besides to the standard error, so that the first can be piped.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from lproxy.config import Admin
from lproxy.sidecar.iptables import VARIANTS, CannotRedirect, apply, needed, spoken
from lproxy.sidecar.redirect import FAMILIES, UID, Ports, Redirect, read_many_ports, read_subnets, read_uid
from lproxy.sidecar.settings import SETTINGS, Settings
from lproxy.target import split_host_port

T = TypeVar("T")

FIELDS = {setting.field for setting in SETTINGS.values()}


def argument(read: Callable[[str], T]) -> Callable[[str], T]:
    """C{read}, whose ValueErrors are told in full."""

    def typed(text: str) -> T:
        try:
            return read(text)
        except ValueError as e:
            raise argparse.ArgumentTypeError(str(e)) from e

    return typed


def port(text: str) -> int | None:
    """A listener's port, or C{none}."""
    if text == "none":
        return None
    ports = read_many_ports(text)
    if len(ports) != 1 or ports[0].first != ports[0].last:
        raise ValueError(f"{text!r} is no port, as 4140, and not none")
    return ports[0].first


def add_redirect(command: argparse.ArgumentParser) -> None:
    """The arguments that say what is redirected."""
    kinds: dict[str, Callable[[str], Any]] = {
        "uid": argument(read_uid),
        "port": argument(port),
        "ports": argument(read_many_ports),
        "subnets": argument(read_subnets),
    }
    command.add_argument(
        "--uid", type=kinds["uid"], default=UID, help="the user that the proxy runs as, and nothing else (%(default)s)"
    )
    command.add_argument(
        "--outbound-port",
        type=kinds["port"],
        default=4140,
        metavar="PORT",
        help="of the listener for what the application sends, or none (%(default)s)",
    )
    command.add_argument(
        "--inbound-port",
        type=kinds["port"],
        default=4143,
        metavar="PORT",
        help="of the listener for what it receives, or none (%(default)s)",
    )
    for name, of in (
        ("--inbound-ports", "the application's, if not all that arrives is for the proxy: 8080,9000-9010"),
        ("--skip-inbound-ports", "of this machine, reached without the proxy"),
        ("--skip-outbound-ports", "of others, connected to without the proxy"),
    ):
        command.add_argument(name, type=kinds["ports"], default=(), metavar="PORTS", help=of)
    command.add_argument(
        "--skip-subnets",
        type=kinds["subnets"],
        default=(),
        metavar="CIDRS",
        help="connected to without the proxy: 10.0.0.0/8,fd00::/8",
    )


def redirect(arguments: argparse.Namespace) -> Redirect:
    """What the arguments of L{add_redirect} say; the admin server's port is never the proxy's to redirect."""
    port = int(split_host_port(Admin().address)[1])
    admin = Ports(port, port)
    return Redirect(
        arguments.uid,
        arguments.outbound_port,
        arguments.inbound_port,
        arguments.inbound_ports,
        (*(one for one in arguments.skip_inbound_ports if one != admin), admin),
        arguments.skip_outbound_ports,
        arguments.skip_subnets,
    )


def iptables(arguments: argparse.Namespace) -> int:
    """Print, apply or undo the redirection; C{1} where that cannot be done."""
    do = arguments.do
    wanted = None if do == "undo" else redirect(arguments)
    families = arguments.families or (FAMILIES if do == "print" else spoken())
    try:
        if do == "print":
            # as on a machine that has none of it yet
            changes = needed(wanted, families, arguments.variant, lambda command, said: "")
        else:
            changes = needed(wanted, families, arguments.variant)
            if not arguments.dry_run:
                apply(changes, arguments.variant)
    except CannotRedirect as e:
        print(f"lproxy: {e}", file=sys.stderr)
        return 1
    for family, lines in changes.items():
        if lines:
            print("\n".join([f"# {family}", *lines]))
        else:
            print(f"{family}: nothing to change", file=sys.stderr)
    return 0


def inject(arguments: argparse.Namespace) -> int:
    """Print the manifest with sidecars; C{2}, and nothing is printed, where it cannot be read."""
    # what commands need is imported when they run
    from lproxy.sidecar.inject import injected
    from lproxy.sidecar.manifest import Unreadable

    given = {name: value for name, value in vars(arguments).items() if name in FIELDS and value is not None}
    name = "the standard input" if arguments.file == "-" else arguments.file
    try:
        done = injected(read(arguments.file), replace(Settings(), **given))
    except OSError as e:
        print(f"lproxy: {name}: cannot be read: {e.strerror}", file=sys.stderr)
        return 2
    except (UnicodeDecodeError, Unreadable) as e:
        print(f"lproxy: {name}: {e}", file=sys.stderr)
        return 2
    for note in done.notes:
        print(f"{name}: {note}", file=sys.stderr)
    # as it was read: UTF-8, whatever the terminal speaks, and line ends as they are
    sys.stdout.buffer.write(done.text.encode("utf-8"))
    return 0


def read(file: str) -> str:
    """A file's text, line ends as they are; C{-} is the standard input."""
    raw = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    return raw.decode("utf-8")


def add(commands: Any) -> None:
    """Add the commands to those of C{lproxy}."""
    add_iptables(commands)
    add_inject(commands)


def add_inject(commands: Any) -> None:
    """C{lproxy inject}."""
    command = commands.add_parser(
        "inject",
        help="add the proxy to the pods of a Kubernetes manifest, as a sidecar",
        description="Print the manifest with the proxy beside each application. The annotation lproxy/NAME of a pod "
        'counts more than the option --NAME; lproxy/inject: "disabled" leaves it alone.',
    )
    command.add_argument("file", metavar="FILE", help="YAML or JSON; - is standard input")
    defaults = vars(Settings())
    for name, setting in SETTINGS.items():
        default = defaults[setting.field]
        shown = {True: "true", False: "false"}.get(default, default)
        command.add_argument(
            f"--{name}",
            metavar=setting.shape,
            type=argument(setting.read),
            help=f"{setting.what} ({shown})" if shown not in ("", ()) else setting.what,
        )
    command.set_defaults(run=inject)


def add_iptables(commands: Any) -> None:
    """C{lproxy iptables}."""
    command = commands.add_parser(
        "iptables", help="redirect the application's connections to the proxy beside it, in this network namespace"
    )
    parts = command.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for do, what in (
        ("apply", "have the rules; those that are there already stay"),
        ("undo", "take away what apply did, whatever it was told"),
        ("print", "the rules alone, as input of iptables-restore --noflush; nothing is looked at or changed"),
    ):
        part = parts.add_parser(do, help=what)
        if do != "undo":
            add_redirect(part)
        if do != "print":
            part.add_argument("--dry-run", action="store_true", help="say what would be changed, and change nothing")
        family = part.add_mutually_exclusive_group()
        for name, one in (("--ipv4", "IPv4"), ("--ipv6", "IPv6")):
            family.add_argument(
                name,
                dest="families",
                action="store_const",
                const=(one,),
                help=f"{one} alone; otherwise each that this network namespace has an address of",
            )
        part.add_argument("--variant", choices=VARIANTS, help="iptables-nft or iptables-legacy, if not the system's")
        part.set_defaults(run=iptables, do=do, dry_run=False)
