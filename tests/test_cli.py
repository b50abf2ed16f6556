# -*- test-case-name: tests.test_cli -*-
"""
Tests for L{lproxy.cli}: the lproxy command.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from twisted.scripts import twistd
from twisted.trial.unittest import SynchronousTestCase

import lproxy
from lproxy import cli
from lproxy.app import demo, plugins
from lproxy.app.plugins import Found, find
from lproxy.build import version
from lproxy.config import Limits
from lproxy.configfile import render
from lproxy.tap import read
from tests.test_tap import BAD, GOOD, WARNS


class CliTests(SynchronousTestCase):
    """Its commands, their output and their status."""

    def setUp(self) -> None:
        self.out, self.err = io.StringIO(), io.StringIO()
        self.patch(sys, "stdout", self.out)
        self.patch(sys, "stderr", self.err)

    def file(self, text: str) -> str:
        """A configuration file."""
        path = Path(self.mktemp())
        path.write_text(text)
        return str(path)

    def refused(self, *arguments: str) -> Any:
        """The status that argparse exits with."""
        return self.assertRaises(SystemExit, cli.main, list(arguments)).code

    def test_no_room(self) -> None:
        """Output that finds no room is a line and 1; that which nobody has opened is written nowhere."""
        file = self.file(GOOD)
        with open("/dev/full", "w") as full:
            self.patch(sys, "stdout", full)
            self.assertEqual(1, cli.main(["check", file]))
        self.assertEqual("lproxy: cannot be written: No space left on device\n", self.err.getvalue())
        self.patch(sys, "stdout", None)
        self.assertEqual(0, cli.main(["check", file]))
        sys.stdout.close()

    def test_letters(self) -> None:
        """What the terminal has no letter for, of a file's name too, is escaped, and ends nothing."""
        for encoding, name, said in (("ascii", "\u00e4", "\\xe4"), ("utf-8", "\udcff", "\\udcff")):
            raw = io.BytesIO()
            self.patch(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
            file = f"{self.mktemp()}{name}"
            Path(file).write_text(GOOD)
            self.assertEqual(0, cli.main(["check", file]))
            self.assertIn(f"{said}: no problem found\n".encode(), raw.getvalue())

    def test_pipe(self) -> None:
        """Who reads no further has had enough: that is no failure, and nothing is said of it."""
        ours, theirs = os.pipe()
        os.close(ours)
        self.patch(sys, "stdout", os.fdopen(theirs, "w"))
        self.assertEqual(0, cli.main(["plugins"]))
        sys.stdout.close()
        self.assertEqual("", self.err.getvalue())

    def test_check(self) -> None:
        """C{check} answers 0, 1 or 2; problems go to standard error, and that there is none to standard output."""
        good = self.file(GOOD)
        self.assertEqual(0, cli.main(["check", good]))
        self.assertEqual((f"{good}: no problem found\n", ""), (self.out.getvalue(), self.err.getvalue()))
        self.assertEqual(1, cli.main(["check", self.file(WARNS)]))
        self.assertEqual(2, cli.main(["check", self.file(BAD)]))
        self.assertEqual(1, self.out.getvalue().count("\n"))
        self.assertEqual(2, self.err.getvalue().count("\n"))

    def test_check_several(self) -> None:
        """Of several files each is checked, and the status is that of the worst."""
        good, warns, bad = self.file(GOOD), self.file(WARNS), self.file(BAD)
        self.assertEqual(2, cli.main(["check", good, bad, warns, good]))
        self.assertEqual([f"{good}: no problem found"] * 2, self.out.getvalue().splitlines())
        self.assertEqual([bad, warns], [line.partition(":")[0] for line in self.err.getvalue().splitlines()])
        self.assertEqual(1, cli.main(["check", good, warns]))

    def test_check_against(self) -> None:
        """What a reload would change in a running proxy; one that cannot be asked is an error."""
        file = self.file(GOOD)
        config = read(file).config
        assert config is not None
        with self.admin(render(replace(config, limits=Limits(in_flight=7)))) as address:
            self.assertEqual(0, cli.main(["check", file, "--against", address]))
        self.assertIn(f"a reload would change 1 at {address}\n  ~ limits.in_flight: 7 -> 10000\n", self.out.getvalue())
        with self.admin(render(config)) as address:
            self.assertEqual(0, cli.main(["check", file, "--against", address]))
        self.assertIn(f"a reload would change nothing at {address}\n", self.out.getvalue())
        with self.admin(["no", "configuration"]) as address:
            self.assertEqual(2, cli.main(["check", file, "--against", address]))
        self.assertEqual(2, cli.main(["check", file, "--against", address]))
        self.assertEqual(2, self.err.getvalue().count("cannot be asked"))

    def test_probe(self) -> None:
        """Whether a proxy is ready, or alive, in words and by the status; one that does not answer is not."""
        with self.admin("fine") as address:
            self.assertEqual((0, 0), (cli.main(["probe", address]), cli.main(["probe", "--live", address])))
        self.assertEqual('"fine"\n"fine"\n', self.out.getvalue())
        with self.admin("draining", 503) as address:
            self.assertEqual(1, cli.main(["probe", address]))
        self.assertEqual('"draining"\n', self.err.getvalue())
        self.assertEqual(1, cli.main(["probe", address, "--timeout", "1"]))
        self.assertEqual(1, cli.main(["probe", "nonsense:x"]))
        self.assertEqual(2, self.err.getvalue().count("does not answer"))

    @contextmanager
    def admin(self, configuration: Any, status: int = 200) -> Iterator[str]:
        """The address of a server that answers with C{configuration}."""

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(configuration).encode())

            def log_message(self, *args: Any) -> None:
                pass

        with HTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                yield f"127.0.0.1:{server.server_address[1]}"
            finally:
                server.shutdown()
                thread.join()

    def test_check_input(self) -> None:
        """C{-} is standard input."""
        self.patch(sys, "stdin", io.TextIOWrapper(io.BytesIO(BAD.encode())))
        self.assertEqual(2, cli.main(["check", "-"]))
        self.assertEqual('stdin:2: limits.in_flght: unknown key; did you mean "in_flight"?\n', self.err.getvalue())

    def test_check_machine(self) -> None:
        """What this machine lacks is found as well."""
        self.assertEqual(2, cli.main(["check", self.file('[access_log]\npath = "/no/such/place/x"')]))
        self.assertIn("access_log.path: /no/such/place is no folder", self.err.getvalue())

    def test_run(self) -> None:
        """C{run} is twistd in the foreground, with the file where one is given."""
        commands: list[list[str]] = []
        self.patch(sys, "argv", ["lproxy"])
        self.patch(twistd, "run", lambda: commands.append(sys.argv))
        self.assertEqual((0, 0), (cli.main(["run"]), cli.main(["run", "x.toml"])))
        short = ["twistd", "--nodaemon", "--pidfile=", "lproxy"]
        self.assertEqual([short, [*short, "--config", "x.toml"]], commands)
        self.assertEqual(0, cli.main(["run", "--json", "x.toml"]))
        self.assertIn("--logger=lproxy.app.log.json_lines", commands[-1])
        self.assertEqual("x.toml", commands[-1][-1])

    def test_check_unreadable(self) -> None:
        """A file that is not there is an error like any other."""
        self.assertEqual(2, cli.main(["check", "/no/such/file"]))
        self.assertEqual("/no/such/file: cannot be read: No such file or directory\n", self.err.getvalue())

    def test_plugins(self) -> None:
        """C{plugins} has a line for each: name, version, file."""
        self.assertEqual(0, cli.main(["plugins"]))
        lines = [line.split() for line in self.out.getvalue().splitlines()]
        names = ("http", "kafka", "tcp")
        self.assertEqual([[name, lproxy.__version__] for name in names], [line[:2] for line in lines])
        for name, line in zip(names, lines, strict=True):
            self.assertTrue(Path(line[2]).is_file())
            self.assertEqual(f"lproxy_{name}.py", Path(line[2]).name)

    def test_broken_plugins(self) -> None:
        """Where one is broken, what is wrong stands below it, and the status is 1."""
        self.patch(plugins, "find", lambda: [*find(), Found("/x/mqtt.py", "mqtt", error="ImportError: no y")])
        self.assertEqual(1, cli.main(["plugins"]))
        self.assertEqual(
            ["mqtt             -          /x/mqtt.py", "    broken: ImportError: no y"],
            self.out.getvalue().splitlines()[3:],
        )

    def test_identity(self) -> None:
        """C{identity}: an authority, a certificate of it, and what is in both; with the statuses of C{check}."""
        folder = self.mktemp()
        self.assertEqual(0, cli.main(["identity", "init", folder, "--name", "shop.mesh"]))
        self.assertEqual(0, cli.main(["identity", "issue", folder, "web.shop.mesh", "--spiffe", "spiffe://shop/web"]))
        self.assertIn("[identity]\ntrust = ", self.out.getvalue())
        trust, certificate, key = (f"{folder}/{name}" for name in ("ca.pem", "web.shop.mesh.pem", "web.shop.mesh.key"))
        self.assertEqual(0, cli.main(["identity", "show", certificate, key, trust, "--trust", trust]))
        self.assertIn("identity   spiffe://shop/web", self.out.getvalue())
        self.assertEqual("", self.err.getvalue())

    def test_identity_refused(self) -> None:
        """What cannot be done is one line on standard error, and the status 2."""
        folder = self.mktemp()
        for arguments in (
            ("issue", folder, "web"),
            ("init", folder, "--days", "0"),
            ("show", folder),
            ("show", __file__, "--trust", folder),
        ):
            self.assertEqual(2, cli.main(["identity", *arguments]))
            self.assertEqual(1, self.err.getvalue().count("\n"), self.err.getvalue())
            self.err.truncate(self.err.seek(0))
        self.assertEqual(0, cli.main(["identity", "init", folder]))
        self.assertEqual(2, cli.main(["identity", "init", folder]))
        self.assertIn("--force", self.err.getvalue())
        self.assertEqual(0, cli.main(["identity", "init", folder, "--force"]))

    def test_demo(self) -> None:
        """C{demo} runs until Ctrl-C, with --once no longer than its traffic; its status is the command's."""
        asked: list[bool] = []

        def run(reactor: Any, once: bool) -> int:
            asked.append(once)
            return 7

        self.patch(demo, "run", run)
        self.assertEqual((7, 7), (cli.main(["demo"]), cli.main(["demo", "--once"])))
        self.assertEqual([False, True], asked)

    def test_version(self) -> None:
        """C{--version} says which, and which build."""
        self.assertEqual(0, self.refused("--version"))
        self.assertEqual(f"lproxy {version()}\n", self.out.getvalue())

    def test_usage(self) -> None:
        """Without a command, or with one that there is not, it says what there is; help tells how to run the proxy."""
        for arguments in ((), ("serve",), ("check",)):
            self.assertEqual(2, self.refused(*arguments))
        self.assertIn("usage: lproxy", self.err.getvalue())
        self.assertEqual(0, self.refused("--help"))
        self.assertIn("twistd -n lproxy [--config FILE]", " ".join(self.out.getvalue().split()))
        for command in ("run", "check", "demo", "plugins", "identity"):
            self.assertIn(command, self.out.getvalue())
