# -*- test-case-name: tests.sidecar.test_commands -*-
"""
Tests for L{lproxy.sidecar.commands}: what is typed and what is printed.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lproxy import cli
from lproxy.sidecar import commands
from lproxy.sidecar.iptables import CannotRedirect
from lproxy.sidecar.redirect import FAMILIES
from lproxy.sidecar.settings import SETTINGS


class IptablesTests(SynchronousTestCase):
    """C{lproxy iptables}."""

    def setUp(self) -> None:
        self.out, self.err = io.StringIO(), io.StringIO()
        self.patch(sys, "stdout", self.out)
        self.patch(sys, "stderr", self.err)

    def lines(self, *arguments: str) -> list[str]:
        """What C{print} says of IPv4."""
        self.assertEqual(0, cli.main(["iptables", "print", "--ipv4", *arguments]))
        return self.out.getvalue().splitlines()

    def test_print(self) -> None:
        """C{print} needs no rights and no programs, and says all of it for both families."""
        self.assertEqual(0, cli.main(["iptables", "print"]))
        said = self.out.getvalue()
        for line in (
            "# IPv4",
            "# IPv6",
            "-A LPROXY_OUTBOUND -m owner --uid-owner 4140 -j RETURN",
            "-A LPROXY_OUTBOUND -p tcp -j REDIRECT --to-ports 4140",
            "-A LPROXY_INBOUND -p tcp -j REDIRECT --to-ports 4143",
            "-A OUTPUT -p tcp -j LPROXY_OUTBOUND",
        ):
            self.assertIn(f"{line}\n", said)
        self.assertEqual("", self.err.getvalue())

    def test_arguments(self) -> None:
        """Each argument is a rule."""
        arguments = "--uid 9 --outbound-port 1 --inbound-port 2 --inbound-ports 80,90-91 --skip-inbound-ports 22,4191"
        said = self.lines(*arguments.split(), "--skip-outbound-ports", "25", "--skip-subnets", "10.0.0.0/8,fd00::/8")
        for rule in (
            "-A LPROXY_OUTBOUND -m owner --uid-owner 9 -j RETURN",
            "-A LPROXY_OUTBOUND -d 10.0.0.0/8 -j RETURN",
            "-A LPROXY_OUTBOUND -p tcp -m multiport --dports 25 -j RETURN",
            "-A LPROXY_OUTBOUND -p tcp -j REDIRECT --to-ports 1",
            "-A LPROXY_INBOUND -p tcp -m multiport --dports 22,4191 -j RETURN",
            "-A LPROXY_INBOUND -p tcp -m multiport --dports 80,90:91 -j REDIRECT --to-ports 2",
        ):
            self.assertIn(rule, said)
        self.assertNotIn("fd00", "".join(said))

    def test_one_side(self) -> None:
        """A side without a listener is left alone."""
        self.assertNotIn("INBOUND", "".join(self.lines("--inbound-port", "none")))

    def test_mistyped(self) -> None:
        """What is mistyped is told with its argument and what would be right; nothing is done."""
        for argument, value, said in (
            ("--skip-outbound-ports", "25,smtp", "'smtp' is no port, as 80, and no range of ports, as 8000-8010"),
            ("--uid", "root", "'root' is no user's number other than root's"),
            ("--inbound-port", "1-2", "'1-2' is no port, as 4140, and not none"),
            ("--skip-subnets", "10.0.0.1/8", "10.0.0.1/8 has host bits set"),
        ):
            self.assertEqual(2, self.assertRaises(SystemExit, cli.main, ["iptables", "apply", argument, value]).code)
            self.assertIn(f"argument {argument}: {said}", self.err.getvalue())

    def test_cannot(self) -> None:
        """What the kernel refuses is one line and status 1."""

        def refused(*args: object) -> None:
            raise CannotRedirect("iptables-save -t nat: no")

        self.patch(commands, "needed", refused)
        self.assertEqual(1, cli.main(["iptables", "apply"]))
        self.assertEqual("lproxy: iptables-save -t nat: no\n", self.err.getvalue())

    def test_dry_run(self) -> None:
        """What would be changed is said, and not done; families that need nothing are said beside."""
        made: list[object] = []
        self.patch(commands, "needed", lambda *args: {"IPv4": ["*nat", "COMMIT"], "IPv6": []})
        self.patch(commands, "spoken", lambda: FAMILIES)
        self.patch(commands, "apply", lambda changes, variant: made.append(changes))
        self.assertEqual(0, cli.main(["iptables", "undo", "--dry-run"]))
        self.assertEqual(
            ("# IPv4\n*nat\nCOMMIT\n", "IPv6: nothing to change\n"), (self.out.getvalue(), self.err.getvalue())
        )
        self.assertEqual([], made)
        self.assertEqual(0, cli.main(["iptables", "undo"]))
        self.assertEqual(1, len(made))


class InjectTests(SynchronousTestCase):
    """C{lproxy inject}."""

    def setUp(self) -> None:
        # of a terminal that has few letters
        self.out, self.err = io.TextIOWrapper(io.BytesIO(), encoding="ascii"), io.StringIO()
        self.patch(sys, "stdout", self.out)
        self.patch(sys, "stderr", self.err)

    def printed(self) -> str:
        """What has come out, as who reads a pipe gets it."""
        self.out.flush()
        raw = self.out.buffer
        assert isinstance(raw, io.BytesIO)
        return raw.getvalue().decode("utf-8")

    def file(self, text: str) -> str:
        path = Path(self.mktemp())
        path.write_bytes(text.encode())
        return str(path)

    def test_file(self) -> None:
        """The manifest goes to standard output, and what became of each object to standard error."""
        file = self.file("kind: Pod\r\nspec:\r\n  containers: [{name: web}]\r\n")
        self.assertEqual(0, cli.main(["inject", "--image", "here:2", "--native", "false", file]))
        self.assertIn("image: here:2\r\n", self.printed().replace('"image": "here:2"', "image: here:2\r\n"))
        self.assertNotIn("restartPolicy", self.printed())
        self.assertEqual(f"{file}: a Pod: has the sidecar\n", self.err.getvalue())

    def test_input(self) -> None:
        """C{-} is the standard input."""
        self.patch(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"kind: Service\n")))
        self.assertEqual(0, cli.main(["inject", "-"]))
        self.assertEqual("kind: Service\n", self.printed())
        self.assertEqual("the standard input: nothing in it makes pods\n", self.err.getvalue())

    def test_letters(self) -> None:
        """A manifest is UTF-8, whatever the terminal speaks."""
        file = self.file("kind: Pod # \u00e4\nspec:\n  containers: [{name: web, command: [\u732b]}]\n")
        self.assertEqual(0, cli.main(["inject", file]))
        self.assertIn("kind: Pod # \u00e4\n", self.printed())
        self.assertIn("\u732b", self.printed())

    def test_refused(self) -> None:
        """Status 2, one line, and nothing that could be piped on."""
        for file, said in (
            (self.file("kind: Pod\n"), "line 1: document 1, a Pod: spec: expected a mapping, found nothing"),
            (self.file("").replace("temp", "none"), ": cannot be read: No such file or directory\n"),
            (str(Path(self.mktemp()).parent), ": cannot be read: Is a directory\n"),
        ):
            self.assertEqual(2, cli.main(["inject", file]))
            self.assertIn(said, self.err.getvalue())
        self.assertEqual((3, ""), (self.err.getvalue().count("\n"), self.printed()))

    def test_options(self) -> None:
        """There is one for each setting, and what is mistyped is told."""
        self.assertEqual(0, self.assertRaises(SystemExit, cli.main, ["inject", "--help"]).code)
        self.assertEqual([], [name for name in SETTINGS if f"--{name} " not in self.printed()])
        self.assertEqual(2, self.assertRaises(SystemExit, cli.main, ["inject", "--native", "perhaps", "x"]).code)
        self.assertIn("argument --native: 'perhaps' is neither true nor false", self.err.getvalue())
