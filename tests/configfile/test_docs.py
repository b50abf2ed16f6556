# -*- test-case-name: tests.configfile.test_docs -*-
"""
Files that the docs show.
"""

from __future__ import annotations

import re
from textwrap import dedent

from tests.configfile.case import FileTestCase
from tests.floors_source import ROOT

PAGES = ("tls.rst", "identity.rst", "profiles.rst")
BLOCK = re.compile(r"^\.\. code-block:: toml\n\n((?:    .*\n|\n)+)", re.MULTILINE)


class DocsTests(FileTestCase):
    def test_good(self) -> None:
        """Each has nothing wrong with it, as it stands there."""
        for page in PAGES:
            blocks = BLOCK.findall((ROOT / "docs" / page).read_text())
            self.assertGreater(len(blocks), 1, page)
            for block in blocks:
                self.good(dedent(block))
