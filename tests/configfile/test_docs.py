# -*- test-case-name: tests.configfile.test_docs -*-
"""
Files that the docs show.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from textwrap import dedent

from lproxy.app.plugins import configures, find
from tests.configfile.case import FileTestCase
from tests.floors_source import ROOT

BLOCK = re.compile(r"^( *)\.\. code-block:: toml\n\n((?:\1    .*\n|\n)+)", re.MULTILINE)
#: what is shown as it stands, and begins as a table of TOML
LITERAL = re.compile(r"::\n\n +(\[{1,2}[a-z][\w.\"-]*\]{1,2}.*)\n")
#: the guide for authors of plugins shows files of a plugin that is not installed: tests.integration.test_sample_plugin
GUIDE = "plugins.rst"


def pages() -> Iterator[tuple[str, str]]:
    """All pages but the guide, by name."""
    for path in (ROOT / "README.rst", *sorted((ROOT / "docs").rglob("*.rst"))):
        if path.name != GUIDE:
            yield path.name, path.read_text()


class DocsTests(FileTestCase):
    def test_good(self) -> None:
        """Each has nothing wrong with it, as it stands there."""
        plugins = configures(find())
        shown = 0
        for page, text in pages():
            for match in BLOCK.finditer(text):
                # the filter that this page makes
                block = dedent(match[2]).replace("shop.kafka:", "tests.sample_filter.allow_list:")
                try:
                    self.good(block, plugins)
                except self.failureException as e:
                    raise self.failureException(f"{page}, line {text.count(chr(10), 0, match.start()) + 1}: {e}") from e
                shown += 1
        self.assertGreater(shown, 30)

    def test_marked(self) -> None:
        """None is shown without being known for one."""
        self.assertEqual([], [(page, table) for page, text in pages() for table in LITERAL.findall(text)])
