# -*- test-case-name: tests.sidecar.test_iptables -*-
"""
Tests for L{lproxy.sidecar.iptables}; with the kernel, in tests.integration.test_sidecar.
"""

from __future__ import annotations

import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lproxy.sidecar.iptables import CannotRedirect, apply, execute, needed, program, spoken
from lproxy.sidecar.redirect import FAMILIES, Redirect


class Programs:
    """Those of iptables: what they were told, and what they say."""

    def __init__(self, table: str = "*nat\nCOMMIT\n", refuses: str = "") -> None:
        self.table, self.refuses = table, refuses
        self.ran: list[list[str]] = []

    def run(self, command: list[str], said: str) -> str:
        self.ran.append(command)
        if self.refuses and self.refuses in " ".join(command):
            raise CannotRedirect("no")
        return self.table


class NeededTests(SynchronousTestCase):
    """What is to be done is found out by reading."""

    def test_reads(self) -> None:
        """Each family's table is read, and none is changed."""
        programs = Programs()
        changes = needed(Redirect(7), FAMILIES, None, programs.run)
        self.assertEqual([["iptables-save", "-t", "nat"], ["ip6tables-save", "-t", "nat"]], programs.ran)
        self.assertEqual(["*nat", "*nat"], [lines[0] for lines in changes.values()])

    def test_nothing(self) -> None:
        """Where nothing of ours is, there is nothing to undo."""
        self.assertEqual({"IPv4": [], "IPv6": []}, needed(None, FAMILIES, None, Programs().run))

    def test_variant(self) -> None:
        """The system's own programs, or those of one kind."""
        self.assertEqual("iptables-restore", program("IPv4", "restore", None))
        self.assertEqual("ip6tables-legacy-save", program("IPv6", "save", "legacy"))


class ApplyTests(SynchronousTestCase):
    """All of it, or nothing."""

    changes = {"IPv4": ["*nat", "COMMIT"], "IPv6": ["*nat", "COMMIT"]}

    def test_tried_first(self) -> None:
        """Each family's is tried before one is made."""
        programs = Programs()
        apply(self.changes, "nft", programs.run)
        self.assertEqual(
            [
                f"{name}-nft-restore --noflush {option}"
                for option in ("--test", "--wait=10")
                for name in ("iptables", "ip6tables")
            ],
            [" ".join(command) for command in programs.ran],
        )

    def test_refused(self) -> None:
        """What one family does not take is not done for the other, either."""
        programs = Programs(refuses="ip6tables")
        self.assertRaises(CannotRedirect, apply, self.changes, None, programs.run)
        self.assertNotIn("--wait", str(programs.ran))

    def test_nothing(self) -> None:
        """Without changes nothing runs."""
        programs = Programs()
        apply({"IPv4": []}, None, programs.run)
        self.assertEqual([], programs.ran)


class ExecuteTests(SynchronousTestCase):
    """Programs that fail are told by name and in their own words."""

    def failing(self, *command: str) -> str:
        return str(self.assertRaises(CannotRedirect, execute, list(command), ""))

    def test_input(self) -> None:
        """A program gets what it is told, and what it says comes back."""
        self.assertEqual("ABC", execute([sys.executable, "-c", "print(input().upper(), end='')"], "abc\n"))

    def test_missing(self) -> None:
        """One that is not there."""
        self.assertIn("lproxy-no-such-program is not installed", self.failing("lproxy-no-such-program"))

    def test_refuses(self) -> None:
        """One that ends with an error, on one line, with what helps."""
        said = self.failing(sys.executable, "-c", "import sys; sys.exit('Fatal:\\n Permission denied')")
        self.assertIn("Fatal: Permission denied; it takes root, or the capability NET_ADMIN", said)
        self.assertIn("ended with status 3", self.failing(sys.executable, "-c", "raise SystemExit(3)"))


class SpokenTests(SynchronousTestCase):
    """Which families there are."""

    def test_families(self) -> None:
        """IPv6 where there is an address of it, even if only loopback's."""
        path = Path(self.mktemp())
        self.assertEqual(("IPv4",), spoken(path))
        path.write_text("")
        self.assertEqual(("IPv4",), spoken(path))
        path.write_text("00000000000000000000000000000001 01 80 10 80       lo\n")
        self.assertEqual(("IPv4", "IPv6"), spoken(path))
