# -*- test-case-name: tests.test_logformat -*-
"""
L{lproxy.logformat}: fields of the access log, and texts that have them.
"""

from __future__ import annotations

import re
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.logformat import FIELDS, FORMS, BadFormat, Text
from tests.floors_source import ROOT

#: 2025-11-24 16:00:02.750 UTC
NOW = 1_764_000_002.75
ROW: dict[str, Any] = {
    "kind": "request",
    "client": "10.0.0.1:40000",
    "method": "GET",
    "authority": "web.test",
    "path": "/a?b=c",
    "protocol": "HTTP/1.1",
    "status": 200,
    "upstream": "10.0.0.9:9000",
    "seconds": 2.5,
    "upstream_head_seconds": 0.0126,
    "bytes_in": 5,
    "bytes_out": 1234,
    "user_agent": "curl/8.0",
    "referer": None,
    "flags": "",
}
CONNECTION = {
    "kind": "connection",
    "client": "[::1]:5",
    "protocol": "tcp",
    "target": "db:5432",
    "upstream": "10.0.0.7:5432",
    "seconds": 1.0,
    "bytes_in": 3,
    "bytes_out": 4,
    "flags": "DC",
}
#: what may try to be more than a value
HOSTILE = '"\\ \\" \n\r\t\x00\x1b[2J\x7f\x85\u2028\udc80\xfc] {status} %s \\x22'


class TextTests(SynchronousTestCase):
    """Formats of one's own."""

    def test_every_field(self) -> None:
        """Each field has a value or a dash, in each of its forms."""
        for name in FIELDS:
            for form in ("", *(f":{form}" for form in FORMS.get(name, ()))):
                self.assertRegex(Text(f"{{{name}{form}}}")(ROW, NOW), r"\A[^\n{}]+\Z")
                self.assertRegex(Text(f"{{{name}{form}}}")({}, NOW), r"\A[^\n{}]+\Z")

    def test_documented(self) -> None:
        """docs/operations/logs.rst has all of them, as they are described here."""
        page = (ROOT / "docs" / "operations" / "logs.rst").read_text()
        for name, text in FIELDS.items():
            self.assertRegex(page, rf"(?m)^``{name}`` +{re.escape(text)}$")

    def test_forms(self) -> None:
        """Times and durations are written as they are wanted."""
        self.assertEqual(
            "2.500000 2500 2500000 1764000002.750 24/Nov/2025:16:00:02 +0000",
            Text("{seconds} {seconds:ms} {seconds:us} {time:unix} {time:clf}")(ROW, NOW),
        )

    def test_literals(self) -> None:
        """Braces are doubled, a tab and a backslash escaped; what is not ASCII is left to the user."""
        self.assertEqual("{GET}\t200\\t→", Text("{{{method}}}\\t{status}\\\\t→")(ROW, NOW))
        self.assertEqual("100% %s %%d 200", Text("100% %s %%d {status}")(ROW, NOW))

    def test_wrong(self) -> None:
        """What cannot be a format is told with what would be right."""
        for text, wrong, right in (
            ("{statsu}", "there is no field 'statsu'", "fields are time, start_time, "),
            ("{}", "there is no field ''", "fields are"),
            ("{status:ms}", "status has no form 'ms'", "write {status}"),
            ("{seconds:s}", "seconds has no form 's'", "write {seconds} or {seconds:ms} or {seconds:us}"),
            ("{time:}", "time has no form ''", "write {time} or {time:clf} or {time:unix}"),
            ("{status", "'{status': a single {", "write {{ for itself"),
            ("{status} }", "'}': a single }", "write }} for itself"),
            ("status", "'status' has no field", "write json"),
        ):
            error = self.assertRaises(BadFormat, Text, text)
            self.assertEqual(wrong, error.wrong)
            self.assertTrue(error.right.startswith(right), error.right)


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
        line = Text("{start_time} {seconds:ms} {client_ip} {path} {status} {tries}")(row, NOW)
        self.assertEqual(r"2025-11-24T16:00:02.750Z soon - ['a\x5cn',\x201] True b'x'", line)


class InjectionTests(SynchronousTestCase):
    """Nobody forges a line, or a part of one."""

    def test_quotes(self) -> None:
        """Within quotes there is none, and no backslash before the last, for whoever reads it as nginx's or as C's."""
        line = Text('"{path}" "{user_agent}"')({"path": HOSTILE, "user_agent": "end\\"}, NOW)
        path, agent = re.findall(r'"((?:[^"\\]|\\.)*)"', line)
        self.assertEqual((r"end\x5c", 4), (agent, line.count('"')))
        self.assertTrue(path.startswith(r"\x22\x5c \x5c\x22 \x0a\x0d\x09\x00\x1b[2J\x7f\x85"), path)

    def test_blanks(self) -> None:
        """Outside of quotes a value has no blank: it cannot be two."""
        self.assertEqual(r"a\x20200 -", Text("{user_agent} {referer}")({"user_agent": "a 200"}, NOW))

    def test_escaped_already(self) -> None:
        """Bytes that were no ASCII are escaped once."""
        self.assertEqual(r"/\xff\x5cx", Text("{path}")({"path": b"/\xff\\x".decode("ascii", "backslashreplace")}, NOW))
