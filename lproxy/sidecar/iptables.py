# -*- test-case-name: tests.sidecar.test_iptables -*-
"""
Have the kernel follow a L{Redirect}, in the network namespace that this runs in, or see what it would take.

By the programs that every distribution has, C{iptables-save} and C{iptables-restore} and their siblings for IPv6: they
know the kernel's older and its newer interface, and other people's tools list what they did.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

from lproxy.sidecar.redirect import FAMILIES, Family, Redirect, transaction

#: of each family: what its programs' names begin with
PROGRAMS: dict[Family, str] = {"IPv4": "iptables", "IPv6": "ip6tables"}
#: by which its programs may be told apart: the kernel's nf_tables, or what was before
VARIANTS = ("nft", "legacy")
#: an address of IPv6 to each line; no file, or nothing in it, where there is none
IF_INET6 = Path("/proc/net/if_inet6")
#: seconds for one program; C{iptables-restore} waits for others that change the same table
PATIENCE = 20


class CannotRedirect(Exception):
    """A program is missing, may not, or does not take what it is told; its own words say why."""


#: runs a command with an input: what it says; raises CannotRedirect
Run = Callable[[list[str], str], str]


def execute(command: list[str], said: str) -> str:
    """Run C{command} with C{said} as its input."""
    try:
        done = subprocess.run(
            command, input=said, capture_output=True, text=True, errors="replace", timeout=PATIENCE, check=False
        )
    except FileNotFoundError as e:
        raise CannotRedirect(f"{command[0]} is not installed (Debian's package is iptables)") from e
    except (OSError, subprocess.TimeoutExpired) as e:
        raise CannotRedirect(f"{command[0]}: {e}") from e
    if done.returncode:
        why = " ".join(done.stderr.split()) or f"ended with status {done.returncode}"
        if "Permission denied" in why:
            why += "; it takes root, or the capability NET_ADMIN"
        elif command[0].startswith(PROGRAMS["IPv6"]):
            why += "; --ipv4 leaves IPv6 alone, and what is sent by it bypasses the proxy then"
        raise CannotRedirect(f"{' '.join(command)}: {why}")
    return done.stdout


def spoken(addresses: Path = IF_INET6) -> tuple[Family, ...]:
    """The families that there are in this network namespace: without addresses of IPv6 nothing can be sent by it."""
    try:
        six = bool(addresses.read_text("ascii").strip())
    except OSError:
        six = False
    return FAMILIES if six else ("IPv4",)


def program(family: Family, does: str, variant: str | None) -> str:
    """The name of the one that C{does}: C{save} or C{restore}."""
    return "-".join(filter(None, (PROGRAMS[family], variant, does)))


def needed(
    wanted: Redirect | None, families: Iterable[Family], variant: str | None, run: Run = execute
) -> dict[Family, list[str]]:
    """
    What each family's table takes to become what is C{wanted}.

    @param wanted: C{None}: nothing of ours is to be left
    @return: input of C{iptables-restore --noflush}; no lines where all is as it should be
    """
    return {
        family: transaction(
            run([program(family, "save", variant), "-t", "nat"], ""),
            {} if wanted is None else wanted.chains(family),
        )
        for family in families
    }


def apply(changes: dict[Family, list[str]], variant: str | None, run: Run = execute) -> None:
    """
    Make the changes that are L{needed}, each family's in one transaction; all are tried before the first is made.

    @raise CannotRedirect: nothing was changed, or, where the kernel refused what it had taken on trial, the one family
    """
    for option in ("--test", "--wait=10"):
        for family, lines in changes.items():
            if lines:
                run([program(family, "restore", variant), "--noflush", option], "\n".join(lines) + "\n")
