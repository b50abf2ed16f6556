# -*- test-case-name: tests.test_docs -*-
"""
Tests for C{docs/conf.py}: what makes one book of pages and docstrings.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from textwrap import dedent
from types import FunctionType, ModuleType
from typing import Any

import yaml
from twisted.trial.unittest import SynchronousTestCase

import lproxy.api
import lproxy.testing
from lproxy import cli
from lproxy.config import Config
from tests.components import require
from tests.floors_source import ROOT

#: a setting, and what it is by default
DEFAULT = re.compile(r"``(timeouts|limits)\.(\w+)`` \(([\d.,]+) ?(s|KiB|)\)")
#: what is shown as it stands
SHOWN = re.compile(r"(?:::|code-block:: console)\n\n((?:(?: {4,}.*)?\n)+)")
#: in what is shown to be typed; what a shell makes of the rest of the line is its own
TYPED = re.compile(r"^ {4,}(?:[$] |[^#\n]*[|] )?(?:[\w./]*/)?lproxy ([a-z][^|>#\n]*)", re.MULTILINE)
#: in manifests: what a container is told, and what it is asked by
TOLD = ("args", "command")


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


class ReferenceTests(SynchronousTestCase):
    """The reference for plugin authors."""

    def test_complete(self) -> None:
        """It has every name of C{lproxy.api} and C{lproxy.testing}, and something to say of each."""
        rest = "\n".join(conf().rest(lproxy.api))
        for module in (lproxy.api, lproxy.testing):
            for name in module.__all__:
                value = getattr(module, name)
                if isinstance(value, type | FunctionType):
                    self.assertTrue(value.__doc__, name)
                else:
                    self.assertRegex(rest, rf"py:(class|data):: {module.__name__}\.{name}\n\n   \S")
        self.assertIn("   .. py:method:: factory(runtime, config)\n\n      Make the factory", rest)

    def test_place(self) -> None:
        """What autodoc passes over has its place."""
        self.assertEqual(1, (ROOT / "docs" / "api.rst").read_text().count(conf().REST))


class DefaultsTests(SynchronousTestCase):
    """A default that is told in passing is the one that there is."""

    def test_told(self) -> None:
        """As C{``timeouts.drain`` (25 s)}; of what both directions have, one of the two."""
        config = Config()
        found = 0
        for path in (ROOT / "README.rst", *sorted((ROOT / "docs").rglob("*.rst"))):
            for table, key, number, unit in DEFAULT.findall(path.read_text()):
                value = float(number.replace(",", "")) * {"": 1, "s": 1, "KiB": 1024}[unit]
                places = {"timeouts": [config.outbound, config.inbound], "limits": [config.limits]}[table]
                self.assertIn(value, [getattr(place, key) for place in places], f"{path.name}: {table}.{key}")
                found += 1
        self.assertGreater(found, 10)


class TypedTests(SynchronousTestCase):
    """Commands that pages and contrib/ show are commands that there are."""

    def takes(self, words: list[str], where: str) -> None:
        """C{lproxy} knows the command, its options and how many arguments it has."""
        said = StringIO()
        self.patch(sys, "stderr", said)
        try:
            cli.parser().parse_args(words)
        except SystemExit:
            self.fail(f"{where}: lproxy {shlex.join(words)}: {said.getvalue()}")

    def test_pages(self) -> None:
        """In the book and in README.rst."""
        found = 0
        for path in (ROOT / "README.rst", *sorted((ROOT / "docs").rglob("*.rst"))):
            for line in (line for shown in SHOWN.findall(path.read_text()) for line in TYPED.findall(shown)):
                self.takes(shlex.split(line), path.name)
                found += 1
        self.assertGreater(found, 20)

    def test_explained(self) -> None:
        """What the page on profiles shows of C{lproxy explain} is what it says of the page's own configuration."""
        text = (ROOT / "docs" / "profiles.rst").read_text()
        first = re.search(r"code-block:: toml\n\n((?:(?: {4}.*)?\n)+)", text)
        shown = re.search(r"^    [$] lproxy (explain .*)\n((?:    .+\n)+)", text, re.MULTILINE)
        assert first is not None and shown is not None
        file = Path(self.mktemp())
        file.write_text(dedent(first[1]))
        out = StringIO()
        self.patch(sys, "stdout", out)
        self.assertEqual(0, cli.main([str(file) if word == "lproxy.toml" else word for word in shlex.split(shown[1])]))
        self.assertEqual(dedent(shown[2]), out.getvalue())

    def test_platforms(self) -> None:
        """In the unit, the image and the manifests."""
        unit = (ROOT / "contrib" / "systemd" / "lproxy.service").read_text()
        self.takes(shlex.split(unit.partition("ExecStart=/opt/lproxy/bin/lproxy ")[2].partition("\n")[0]), "the unit")
        for words in re.findall(r"(?m)CMD (\[.*\])$", (ROOT / "contrib" / "container" / "Containerfile").read_text()):
            self.takes([word for word in yaml.safe_load(words) if word != "lproxy"], "the image")
        found = list(told())
        self.assertGreater(len(found), 8)
        for words in found:
            self.takes(words, "a manifest")


def told() -> Iterator[list[str]]:
    """What containers of ours are told in contrib/kubernetes, without the program's name."""
    for path in sorted((ROOT / "contrib" / "kubernetes").rglob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            spec = (document.get("spec") or {}).get("template", {}).get("spec", {})
            for container in (*spec.get("initContainers", ()), *spec.get("containers", ())):
                if container["name"].startswith("lproxy"):
                    yield from (words for words in within(container) if words[0] != "sleep")


def within(value: Any) -> Iterator[list[str]]:
    """All command lines of C{value}."""
    for key, below in value.items() if isinstance(value, dict) else ():
        if key in TOLD:
            yield [word for word in below if word != "lproxy"]
        else:
            yield from within(below)
