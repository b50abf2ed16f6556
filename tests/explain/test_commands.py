# -*- test-case-name: tests.explain.test_commands -*-
"""
The commands C{lproxy routes}, C{lproxy explain}, and C{lproxy check} of profiles.
"""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lproxy.cli import main
from tests.profiles.case import SP

ROUTES = "  routes: [{name: a, condition: {method: GET}}]\n"
CONFIG = """
[[listen]]
name = "out"
address = "127.0.0.1:0"
[services."web.local:80"]
endpoints = ["127.0.0.1:1"]
[services."web.local:80".routes.books]
match = {{ path_prefix = "/books" }}
[profiles]
files = ["{file}"]
"""


class CommandTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.file = Path(self.mktemp()).with_suffix(".yaml")
        self.file.write_text(SP + ROUTES)
        self.config = Path(self.mktemp()).with_suffix(".toml")
        self.config.write_text(CONFIG.format(file=self.file))

    def run_(self, *arguments: object) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            status = main([str(one) for one in arguments])
        return status, out.getvalue(), err.getvalue()

    def test_routes(self) -> None:
        """Routes of a configuration and of files that it names, or of a file alone."""
        status, out, err = self.run_("routes", self.config)
        self.assertEqual((0, ""), (status, err))
        self.assertIn("web.local:80: 1 route\n  1  books\n", out)
        self.assertIn("web.shop.svc.cluster.local: 1 route", out)
        status, out, err = self.run_("routes", self.file)
        self.assertEqual((0, ""), (status, err))
        self.assertNotIn("web.local", out)

    def test_routes_wrong(self) -> None:
        """What is wrong with a file is on the standard error, with a status that says so."""
        self.file.write_text(SP + "  rotues: []\n")
        for file in (self.file, self.config):
            status, out, err = self.run_("routes", file)
            self.assertEqual(2, status)
            self.assertEqual(file == self.file, out == "")
            self.assertIn(f'{self.file}:7: spec.rotues: unknown field; did you mean "routes"?', err)

    def test_no_routes(self) -> None:
        """A file that is right and has none is said to have none."""
        self.file.write_text("# nothing yet\n")
        self.assertEqual((0, "there are no routes\n", ""), self.run_("routes", self.file))

    def test_explain(self) -> None:
        """A request is explained by a configuration, or by the built-in one."""
        status, out, err = self.run_("explain", "GET", "http://web.local/books/1", "-H", "x: y", "-c", self.config)
        self.assertEqual((0, ""), (status, err))
        self.assertIn("route             1 books: path is /books or below", out)
        status, out, err = self.run_("explain", "GET", "http://web.local/")
        self.assertEqual((0, ""), (status, err))
        self.assertIn("profile           none", out)

    def test_explain_in_spite(self) -> None:
        """What is wrong with a file of profiles is told, and what holds in spite of it explained."""
        self.file.write_text(SP + "  rotues: []\n")
        status, out, err = self.run_("explain", "GET", "http://web.local/books", "-c", self.config)
        self.assertEqual(0, status)
        self.assertIn("route             1 books", out)
        self.assertIn("unknown field", err)

    def test_explain_wrong(self) -> None:
        """What cannot be explained is said in a line."""
        for arguments, says in (
            (("GET", "/x"), "is no URL"),
            (("GET", "http://a/", "--listener", "none"), "there is no listener none"),
            (("GET", "http://a/", "--original-dst", "x"), "has no port"),
            (("GET", "http://a/", "-c", self.mktemp()), "cannot be read"),
        ):
            status, out, err = self.run_("explain", *arguments)
            self.assertEqual((2, ""), (status, out))
            self.assertIn(says, err)
            self.assertEqual(1, len(err.splitlines()))

    def test_check(self) -> None:
        """lproxy check looks at files of profiles, by themselves and where a configuration names them."""
        for file in (self.file, self.config):
            self.assertEqual(0, self.run_("check", file)[0])
        self.file.write_text(SP + "  rotues: []\n")
        for file in (self.file, self.config):
            status, _, err = self.run_("check", file)
            self.assertEqual(2, status)
            self.assertIn(f'{self.file}:7: spec.rotues: unknown field; did you mean "routes"?', err)
