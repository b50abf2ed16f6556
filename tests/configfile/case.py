# -*- test-case-name: tests.configfile -*-
"""
What the tests of the configuration file share: a good file, a plugin with a table, and checks of what is said.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.config import Config
from lproxy.configfile import load

Configure = Callable[[dict[str, Any]], object]

#: a file with all that a good one may have
GOOD = """
# a comment = "with a key"
access_log.path = "-"

[admin]
address = "127.0.0.1:4191"
hosts = ["proxy.local"]
log_level = true

[[listen]]
name = "outbound"
address = "127.0.0.1:4140"
detect = ["http", "kafka"]
    [listen.kafka]
    mode = "b"

[[listen]]
"name" = 'inbound'
address = "[::1]:4143"
direction = "inbound"
target = "service:app"
protocol = "tcp"

[[listen]]
name = "unix"
address = "unix:/run/lproxy.sock:mode=660"
target = "db.local:5432"

[services.app]
endpoints = ["127.0.0.1:8081", "[::1]:8081"]
[services."web.local:80"]
endpoints = [
    "127.0.0.1:8082",  # one
    '''127.0.0.1:8083''',
]

[timeouts]
acquire = "5s"
stream = "2m"
body = "none"
inbound.acquire = "500ms"
[timeouts.outbound]
service_idle = "1.5s"
upstream_idle = "1s"

[limits]
buffer = "128KiB"
detect = 4096
in_flight = 5

[kafka]
mode = "a"
level = 3
"""

#: the least that a listener needs, in three lines
LISTEN = '[[listen]]\nname = "web"\naddress = "127.0.0.1:4140"\n'


@dataclass
class Kafka:
    """What a plugin makes of its table."""

    mode: str = "a"
    level: int = 0
    password: str = field(default="secret", repr=False)


def configure_kafka(table: dict[str, Any]) -> Kafka:
    mode = table.pop("mode", "a")  # a plugin may take its table apart
    if mode not in ("a", "b"):
        raise ValueError(f'mode: {mode} is neither "a" nor "b"')
    if table.get("level") == 13:
        raise ValueError("all is lost")
    return Kafka(mode, **table)


PLUGINS: Mapping[str, Configure] = {"kafka": configure_kafka}


def listener(**values: object) -> str:
    """A listener on a fresh port, with C{values} besides or instead."""
    given = {"name": "web", "address": "127.0.0.1:0", **values}
    return "\n".join(["[[listen]]", *(f"{key} = {json.dumps(value)}" for key, value in given.items()), ""])


class FileTestCase(SynchronousTestCase):
    def problems(self, text: str, *expected: str, plugins: Mapping[str, Configure] = PLUGINS) -> None:
        """The problems of C{text} are these, all of them, in this order; an error leaves no configuration."""
        loaded = load(text, "f", plugins)
        self.assertEqual(list(expected), [str(problem) for problem in loaded.problems])
        errors = any(problem.severity == "error" for problem in loaded.problems)
        self.assertEqual(errors, loaded.config is None)

    def says(self, text: str, part: str, plugins: Mapping[str, Configure] = PLUGINS) -> None:
        """There is one problem with C{text}, and C{part} is in what is said of it."""
        loaded = load(text, "f", plugins)
        self.assertEqual(1, len(loaded.problems), [str(problem) for problem in loaded.problems])
        self.assertIn(part, str(loaded.problems[0]))

    def good(self, text: str, plugins: Mapping[str, Configure] = PLUGINS) -> Config:
        loaded = load(text, "f", plugins)
        self.assertEqual([], [str(problem) for problem in loaded.problems])
        assert loaded.config is not None
        return loaded.config
