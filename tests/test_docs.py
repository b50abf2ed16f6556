# -*- test-case-name: tests.test_docs -*-
"""
Tests for C{docs/conf.py}: what makes one book of pages and docstrings.
"""

from __future__ import annotations

import importlib.util
from types import ModuleType

from twisted.trial.unittest import SynchronousTestCase

from tests.components import require
from tests.floors_source import ROOT


def conf() -> ModuleType:
    """The configuration of Sphinx, as a module."""
    require(packages=("sphinx", "furo"))
    spec = importlib.util.spec_from_file_location("lproxy_docs_conf", ROOT / "docs" / "conf.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class LinkTests(SynchronousTestCase):
    """Links that work where the files are read as they are work in the book."""

    def setUp(self) -> None:
        self.links = conf().links

    def test_pages(self) -> None:
        """From a page to one beside it, below and above it, broken over lines or not."""
        for text, folder, role in (
            ("`tls.rst <tls.rst>`_", "", ":doc:`/tls`"),
            ("`more\n<operations/errors.rst>`_", "", ":doc:`more </operations/errors>`"),
            ("`errors.rst <errors.rst>`_", "operations", ":doc:`/operations/errors`"),
            ("`TLS <../tls.rst>`_", "operations", ":doc:`TLS </tls>`"),
            ("`TLS <docs/tls.rst>`_", "..", ":doc:`TLS </tls>`"),
            ("`Changes <CHANGES.rst>`_", "..", ":doc:`Changes </changes>`"),
        ):
            self.assertEqual(role, self.links(text, folder))

    def test_contents(self) -> None:
        """A page's own table of contents is left to the theme, which has it at its side."""
        self.assertEqual("a\n\n\nb\n", self.links("a\n\n.. contents::\n   :local:\n   :depth: 1\n\nb\n", ""))

    def test_elsewhere(self) -> None:
        """What leads out of the project is left alone."""
        for text in ("`RFC <https://example.org/rfc.txt>`_", "``<tls.rst>``", "`Contributing`_"):
            self.assertEqual(text, self.links(text, ""))


class DocstringTests(SynchronousTestCase):
    """Epytext becomes reStructuredText."""

    def setUp(self) -> None:
        self.conf = conf()

    def test_markup(self) -> None:
        """Code, names, emphasis; also over a line's end and with braces of its own."""
        for epytext, rst in (
            ("C{None} or L{lproxy.api.Lease}", "``None`` or :py:obj:`lproxy.api.Lease`"),
            ("I{may} B{must}", "*may* **must**"),
            ("C{limits.in\n  flight}", "``limits.in flight``"),
            ("C{/log{level}}", "``/log{level}``"),
            ("ABC{x}", "ABC{x}"),
        ):
            self.assertEqual(rst, self.conf.markup(epytext))

    def test_fields(self) -> None:
        """Fields are a list of their own, and what goes on below one belongs to it."""
        docstring = ["What for.", "@ivar a: bytes,", "  so far", "@return: b", "@raise OSError: never", "More."]
        fields = [":ivar a: bytes,", "  so far", ":returns: b", ":raises OSError: never"]
        self.assertEqual(["What for.", "", *fields, "", "More."], self.conf.fields(docstring))


class HelpTests(SynchronousTestCase):
    """The page of the commands has what they say of themselves."""

    def test_commands(self) -> None:
        """All of them, those below others too, each under a title of its own."""
        lines = list(conf().helps())
        titles = [line for line, below in zip(lines, lines[1:], strict=False) if set(below) == {"-"}]
        for command in ("run", "check", "probe", "identity issue", "iptables apply", "inject"):
            self.assertIn(f"``lproxy {command}``", titles)
        self.assertNotIn("``lproxy identity``", titles)
        self.assertIn("    usage: lproxy probe [-h]", "\n".join(lines))

    def test_place(self) -> None:
        """The page has a place for them."""
        self.assertEqual(1, (ROOT / "docs" / "commands.rst").read_text().count(conf().HELP))
