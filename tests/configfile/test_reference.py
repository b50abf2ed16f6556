# -*- test-case-name: tests.configfile.test_reference -*-
"""
The reference of all settings in the docs.
"""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lproxy.config import Listen, Timeouts
from lproxy.configfile import load, reference, refresh
from lproxy.configfile.kinds import settings
from lproxy.configfile.reference import BEGIN, END, literal
from lproxy.protocols.kafka.plugin import KafkaPlugin


class ReferenceTests(SynchronousTestCase):
    page = Path(__file__).parent.parent.parent / "docs" / "configuration.rst"

    def test_complete(self) -> None:
        """The reference has every setting with its kind, default (inbound, too, where it differs) and help."""
        text = reference()
        for table in (Listen, Timeouts):
            for one in settings(table).values():
                self.assertIn(f"``{one.key}``\n", text)
                self.assertIn(literal(one.help)[1:], text)
        for entry in (
            '``acquire``\n    Duration; default ``"3s"``, inbound ``"1s"``.\n',
            '``body``\n    Duration, or "none"; default ``"1m"``.\n',
            '``buffer``\n    Size; default ``"64KiB"``.\n',
            "``shutdown``\n    Boolean; default ``false``.\n",
            "``protocol``\n    String; default unset.\n",
            "``name``\n    Name; required.\n",
            '``detect``\n    Array of strings; default ``["http", "kafka"]``.\n',
        ):
            self.assertIn(entry, text)

    def test_page_is_up_to_date(self) -> None:
        """The docs say what config.py says; if not: python -m lproxy.configfile --write docs/configuration.rst"""
        if not self.page.exists():
            self.skipTest("no docs beside the tests")
        page = self.page.read_text("utf-8")
        self.assertEqual(refresh(page, reference()), page)

    def test_example_is_good(self) -> None:
        """The examples in the docs are files that load."""
        if not self.page.exists():
            self.skipTest("no docs beside the tests")
        blocks = self.page.read_text("utf-8").split(".. code-block:: toml\n\n")[1:]
        self.assertEqual(4, len(blocks))
        for block in blocks:
            lines = block.splitlines()
            until = next(index for index, line in enumerate(lines) if line and not line.startswith("    "))
            text = "\n".join(line[4:] for line in lines[:until])
            self.assertEqual((), load(text, "docs", {"kafka": KafkaPlugin().configure}).problems, text)

    def test_refresh(self) -> None:
        """Only what stands between the markers is renewed; a page without them is refused."""
        page = refresh(f"before\n{BEGIN}\nold\n{END}\nafter\n", reference())
        self.assertTrue(page.startswith(f"before\n{BEGIN}\n\n") and page.endswith(f"\n{END}\nafter\n"))
        self.assertNotIn("\nold\n", page)
        self.assertEqual(page, refresh(page, reference()))
        for bad in ("", BEGIN, END, f"{END}\n{BEGIN}"):
            self.assertRaises(ValueError, refresh, bad, reference())
