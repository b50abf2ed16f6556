# -*- test-case-name: tests.app.test_lines -*-
"""
L{lproxy.app.lines}: lines of the access log.
"""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.lines import lines
from lproxy.logformat import FIELDS, FORMS, PRESETS, Text
from tests.test_logformat import CONNECTION, HOSTILE, NOW, ROW


class PresetTests(SynchronousTestCase):
    """Formats that other programs read."""

    def test_json(self) -> None:
        """Everything, one object a line; what a plugin has in it that is no JSON is text, bytes in base64."""
        line = lines("json")({**ROW, "odd": b"x"}, NOW)
        self.assertEqual({"time": "2025-11-24T16:00:02.750+00:00", **ROW, "odd": "eA=="}, json.loads(line))

    def test_combined(self) -> None:
        """As nginx and Apache write it, with the time at which the request began."""
        combined = lines("combined")
        self.assertEqual(
            '10.0.0.1 - - [24/Nov/2025:16:00:00 +0000] "GET /a?b=c HTTP/1.1" 200 1234 "-" "curl/8.0"',
            combined(ROW, NOW),
        )
        self.assertEqual('::1 - - [24/Nov/2025:16:00:01 +0000] "- db:5432 tcp" 0 4 "-" "-"', combined(CONNECTION, NOW))
        self.assertIn(" - web.mesh [", combined({**ROW, "remote_identity": "web.mesh"}, NOW))

    def test_said_in_no_words(self) -> None:
        """As nginx, Apache and Envoy do, a field that is empty is told from one that is not there."""
        row = {**ROW, "user_agent": "", "referer": None, "forwarded_for": "", "request_id": ""}
        self.assertIn(' 200 1234 "-" ""', lines("combined")(row, NOW))
        self.assertIn(' 13 "" "" "" "web.test"', lines("envoy")(row, NOW))
        # outside of quotes nobody would see it
        self.assertEqual("- - -", Text("{user_agent} {flags} {referer}")(row, NOW))

    def test_envoy(self) -> None:
        """As Envoy writes it where nothing is configured."""
        envoy = lines("envoy")
        self.assertEqual(
            '[2025-11-24T16:00:00.250Z] "GET /a?b=c HTTP/1.1" 200 - 5 1234 2500 13 "-" "curl/8.0" "-" "web.test" '
            '"10.0.0.9:9000"',
            envoy(ROW, NOW),
        )
        self.assertEqual(
            '[2025-11-24T16:00:01.750Z] "- - tcp" 0 DC 3 4 1000 - "-" "-" "-" "db:5432" "10.0.0.7:5432"',
            envoy(CONNECTION, NOW),
        )

    def test_connections(self) -> None:
        """Connections may have a format of their own, whatever that of requests is."""
        both = lines("json", "{client_ip} {protocol}")
        self.assertEqual(("{", "::1 tcp"), (both(ROW, NOW)[0], both(CONNECTION, NOW)))
        self.assertEqual("tcp -", lines("{protocol} {method}")(CONNECTION, NOW))


class OddTests(SynchronousTestCase):
    """Rows of plugins, which may have anything in them."""

    def test_anything(self) -> None:
        """What is no duration, and what is no text, is shown as it is, on one line."""
        row: Any = {
            "kind": "connection",
            "seconds": "soon",
            "client": None,
            "path": ["a\n", 1],
            "status": True,
            "tries": b"x",
            "odd": float("nan"),
            "more": {"a": [1, None]},
            (1, 2): 3,
        }
        for format in ("json", *PRESETS):
            self.assertTrue(lines(format)(row, NOW).isprintable())
        told = json.loads(lines("json")(row, NOW), parse_constant=self.fail)
        expected = {"odd": None, "more": {"a": [1, None]}, "(1, 2)": 3, "path": ["a\n", 1], "status": True}
        self.assertEqual(expected, {key: told[key] for key in expected})


class InjectionTests(SynchronousTestCase):
    """Nobody forges a line, or a part of one."""

    def test_one_line(self) -> None:
        """Whatever peers say, it is one line of printable ASCII in every format."""
        row = {name: HOSTILE for name in FIELDS if name not in FORMS and name != "kind"}
        for format in ("json", *PRESETS, "{path} {user_agent}"):
            for kind in ("request", "connection"):
                line = lines(format)({**row, "kind": kind, "seconds": 1.0}, NOW)
                self.assertTrue(line.isascii() and line.isprintable(), line)

    def test_exact(self) -> None:
        """JSON has what was said, to the character, and escapes what a terminal might heed."""
        for said in (HOSTILE, "\x7f", "\u009b2J", "\U0001f600", "\ud800", "plain"):
            line = lines("json")({"path": said}, NOW)
            self.assertTrue(line.isascii() and line.isprintable(), line)
            self.assertEqual(said, json.loads(line)["path"])

    def test_nothing(self) -> None:
        """A row without anything has its time."""
        self.assertEqual('{"time":"2025-11-24T16:00:02.750+00:00"}', lines("json")({}, NOW))
