# -*- test-case-name: tests.configfile.test_table -*-
"""
What may stand in a table, and where tables may stand.
"""

from __future__ import annotations

from datetime import date

from lproxy.configfile import load
from lproxy.configfile.table import apart
from tests.configfile.case import LISTEN, PLUGINS, FileTestCase


class TableTests(FileTestCase):
    def test_apart(self) -> None:
        """What is taken apart is the same, and has nothing of what it was taken from."""
        text = "x" * 100
        tree = {text: [text, {"a": (day := date(2020, 1, 1)), "b": 1.5, "c": True}], "\u00e9\U0001f600": []}
        copied = apart(tree)
        self.assertEqual(tree, copied)
        (key, (value, table)) = next(iter(copied.items()))
        self.assertIsNot(text, key)
        self.assertIsNot(text, value)
        self.assertIs(day, table["a"])

    def test_unknown_keys(self) -> None:
        """An unknown key or table is an error that says what was probably meant."""
        for text, says in {
            '[timeouts]\naquire = "3s"': 'f:2: timeouts.aquire: unknown key; did you mean "acquire"?',
            '[timeouts.inbound]\naquire = "3s"': 'f:2: timeouts.inbound.aquire: unknown key; did you mean "acquire"?',
            "[limits]\nin-flight = 3": 'f:2: limits.in-flight: unknown key; did you mean "in_flight"?',
            "in_flight = 3": "f:1: in_flight: unknown key; it belongs in [limits]",
            'ttl-min = "3s"': 'f:1: ttl-min: unknown key; did you mean "ttl_min" in [dns]?',
            '[timeout]\nacquire = "3s"': 'f:1: timeout: unknown table; did you mean "timeouts"?',
            '[access_log]\n"a b" = 1': 'f:2: access_log."a b": unknown key; keys here are connections, format, path',
            f'{LISTEN}adress = ""': 'f:4: listen[0].adress: unknown key; did you mean "address"?',
            '[services."a:80"]\nendpoints = ["10.0.0.1:80"]\nname = "b"': 'f:3: services."a:80".name: unknown key; it '
            "belongs in [[listen]]",
            "[mqtt]\nx = 1": "f:1: mqtt: unknown table; tables here are access_log, admin, balancing, dns, identity, "
            'kafka, key_log, limits, listen, metrics, profiles, services, timeouts, tracing; the plugin "mqtt" is not '
            "installed",
        }.items():
            self.problems(text, says)

    def test_all_in_one_pass(self) -> None:
        """One pass finds every problem, in the order of the file."""
        text = 'x = 1\n[limits]\npool = 0\n[timeouts]\nacquire = 3\nconnect = "3"\n[dns]\nservers = ["a", "b"]\n'
        keys = ["x", "limits.pool", "timeouts.acquire", "timeouts.connect", "dns.servers[0]", "dns.servers[1]"]
        self.assertEqual(keys, [problem.key for problem in load(text, "f", {}).problems])

    def test_not_tables(self) -> None:
        """A value, or an array, where a table belongs is refused with the header to write."""
        for text, says in {
            "admin = 1": "f:1: admin: must be a table, not an integer; write [admin], and below it its keys",
            "[[admin]]": "f:1: admin: must be one table, not an array of them; write [admin] once, in single brackets",
            "timeouts.inbound = 1": "f:1: timeouts.inbound: must be a table, not an integer; write [timeouts.inbound], "
            "and below it its keys",
            'services = "a"': 'f:1: services: must be a table, not a string; write [services."NAME"], and below it its '
            "keys",
            'services."a:80" = 1': 'f:1: services."a:80": must be a table, not an integer; write [services."a:80"], '
            "and below it its keys",
            "kafka = 1": "f:1: kafka: must be a table, not an integer; write [kafka], and below it its keys",
            "listen = 1": "f:1: listen: must be an array of tables, not an integer; write [[listen]], in double "
            "brackets, once for each listener",
            LISTEN.replace("[[", "[").replace("]]", "]"): "f:1: listen: must be an array of tables; write [[listen]], "
            "in double brackets, once for each listener",
            f"{LISTEN}kafka = 1": "f:4: listen[0].kafka: must be a table, not an integer; write [listen.kafka], and "
            "below it its keys",
        }.items():
            problems = [str(problem) for problem in load(text, "f", PLUGINS).problems if problem.severity == "error"]
            self.assertEqual([says], problems)
