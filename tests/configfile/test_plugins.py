# -*- test-case-name: tests.configfile.test_plugins -*-
"""
Plugins' tables, the file's and the listeners'.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from lproxy.configfile import load
from tests.configfile.case import GOOD, LISTEN, Configure, FileTestCase, Kafka


class PluginTests(FileTestCase):
    def test_defaults(self) -> None:
        """Every plugin is configured, with an empty table where the file has none, and each listener has its value."""
        config = self.good("")
        self.assertEqual([{"kafka": Kafka()}] * 2, [dict(listen.plugins) for listen in config.listen])

    def test_merged(self) -> None:
        """A listener's own table replaces keys of the file's table, for that listener alone."""
        config = self.good(GOOD)
        self.assertEqual([Kafka("b", 3), Kafka("a", 3), Kafka("a", 3)], [one.plugins["kafka"] for one in config.listen])

    def test_called_once(self) -> None:
        """A plugin is asked once for the file's table and once for each listener that overrides it."""
        asked: list[dict[str, Any]] = []
        plugins: Mapping[str, Configure] = {"kafka": asked.append}
        load(GOOD, "f", plugins)
        self.assertEqual([{"mode": "a", "level": 3}, {"mode": "b", "level": 3}], asked)

    def test_refused(self) -> None:
        """What a plugin refuses stands at the key that it names, else at its table, and is said once."""
        use = LISTEN + 'detect = ["kafka"]\n'
        self.problems(f'{use}[kafka]\nmode = "c"', 'f:6: kafka.mode: c is neither "a" nor "b"')
        self.problems(f"{use}[kafka]\nlevel = 13", "f:5: kafka: all is lost")
        self.problems(f'{use}[listen.kafka]\nmode = "c"', 'f:6: listen[0].kafka.mode: c is neither "a" nor "b"')
        self.problems(
            f'{use}[listen.kafka]\nlevel = 1\n[kafka]\nmode = "c"', 'f:8: kafka.mode: c is neither "a" nor "b"'
        )

    def test_broken(self) -> None:
        """A plugin that fails is named, and the rest of the file is checked all the same."""

        class Speechless(Exception):
            def __str__(self) -> str:
                raise RuntimeError("not even that")

        def broken(table: dict[str, Any]) -> object:
            raise KeyError("x")

        def speechless(table: dict[str, Any]) -> object:
            raise Speechless

        def ending(table: dict[str, Any]) -> object:
            sys.exit(2)

        self.problems(
            "[limits]\npool = 0",
            "f:2: limits.pool: 0 is not more than zero; write a number such as 100",
            "f: one: the plugin \"one\" failed: KeyError: 'x'; this is a bug in the plugin",
            'f: two: the plugin "two" failed: Speechless: ?; this is a bug in the plugin',
            'f: three: the plugin "three" failed: SystemExit: 2; this is a bug in the plugin',
            plugins={"one": broken, "two": speechless, "three": ending},
        )

    def test_unused(self) -> None:
        """Settings of a protocol that no listener speaks are a warning."""
        self.problems(
            f'{LISTEN}detect = ["http"]\n[kafka]\nmode = "a"',
            'f:5: warning: kafka: is unused: no listener speaks kafka; add "kafka" to the detect of one',
        )
        self.problems(
            f'{LISTEN}detect = ["http"]\n[listen.kafka]\nmode = "a"',
            'f:5: warning: listen[0].kafka: is unused: the listener speaks no kafka; add "kafka" to its detect',
        )

    def test_name_of_a_setting(self) -> None:
        """A plugin with the name of a setting is configured without a table; the setting stays the setting."""
        loaded = load(LISTEN + 'detect = ["http"]', "f", {"detect": dict})
        self.assertEqual(
            ['f: warning: the plugin "detect" has the name of a setting and so no table of its own'],
            [str(problem) for problem in loaded.problems],
        )
        assert loaded.config is not None
        self.assertEqual({}, loaded.config.listen[0].plugins["detect"])
