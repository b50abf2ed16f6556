# -*- test-case-name: tests.configfile.profile.test_condition -*-
"""
Conditions of requests and answers, in TOML.
"""

from __future__ import annotations

import tomllib
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.configfile.problem import Report, Wrong
from lproxy.configfile.profile.condition import ANSWER, REQUEST, Match, written
from lproxy.configfile.profile.shape import NOTHING, attempt
from lproxy.profile import All, AnyOf, Header, Method, Not, Path, Query, Statuses

MATCH, CLASS = Match(REQUEST), Match(ANSWER, ())


class ConditionTests(SynchronousTestCase):
    def read(self, text: str, match: Match = MATCH) -> Any:
        """What C{text} says, without a problem; written and read again it is the same."""
        report = Report("")
        found = attempt(match, tomllib.loads(f"m = {text}")["m"], (), report)
        self.assertEqual([], [str(problem) for problem in report.problems])
        self.assertEqual(found, match.read(written(found), (), report))
        return found

    def says(self, text: str, *lines: str, match: Match = MATCH) -> None:
        report = Report("")
        found = attempt(match, tomllib.loads(f"m = {text}")["m"], ("m",), report)
        self.assertIs(NOTHING, found)
        self.assertEqual(list(lines), [str(problem) for problem in report.problems])

    def test_leaves(self) -> None:
        """A key is a condition; several are all of them, in their order."""
        self.assertEqual(Method("GET"), self.read('{ method = "get" }'))
        self.assertEqual(Path("/a"), self.read('{ path = "/a" }'))
        self.assertEqual(Path("/a", "prefix"), self.read('{ path_prefix = "/a" }'))
        self.assertEqual(
            All((Path("/a/.*", "regex"), Method("PUT"))), self.read('{ path_regex = "/a/.*", method = "PUT" }')
        )

    def test_several(self) -> None:
        """An array means one of its values, an array of tables one of the tables."""
        self.assertEqual(AnyOf((Method("GET"), Method("HEAD"))), self.read('{ method = ["GET", "HEAD"] }'))
        self.assertEqual(Method("GET"), self.read('{ method = ["GET"] }'))
        self.assertEqual(AnyOf((Path("/a"), Method("GET"))), self.read('[{ path = "/a" }, { method = "GET" }]'))

    def test_fields(self) -> None:
        """Fields and parameters are compared, or are there, or are not; each is a condition beside the others."""
        self.assertEqual(
            All(
                (
                    Header("x-a", "1"),
                    Header("x-b"),
                    Not(Header("x-c")),
                    Header("x-d", "a.*", "regex"),
                    AnyOf((Header("x-e", "1"), Header("x-e", "2"))),
                    Method("GET"),
                )
            ),
            self.read(
                '{ headers = { X-A = "1", x-b = true, x-c = false, x-d = { regex = "a.*" }, x-e = ["1", "2"] }, '
                'method = "GET" }'
            ),
        )
        self.assertEqual(
            All((Query("q", "1"), Query("r", "(?s).*", "regex"), Not(Query("s", "(?s).*", "regex")))),
            self.read('{ query = { q = "1", r = true, s = false } }'),
        )

    def test_nested(self) -> None:
        """all, any and not have conditions in them."""
        self.assertEqual(
            Not(AnyOf((Path("/a"), All((Method("GET"), Path("/b")))))),
            self.read('{ not = { any = [{ path = "/a" }, { all = [{ method = "GET" }, { path = "/b" }] }] } }'),
        )

    def test_statuses(self) -> None:
        """An answer's are single ones, ranges and classes."""
        self.assertEqual(
            AnyOf((Statuses(404, 404), Statuses(500, 504), Statuses(200, 299))),
            self.read('{ status = [404, "500-504", "2xx"] }', CLASS),
        )
        self.says(
            '{ status = ["600", "5x", "504-500", true], method = "GET" }',
            'm.status[0]: "600" is no status; write a status such as 503, "500-599" or "5xx"',
            'm.status[1]: "5x" is no status; write a status such as 503, "500-599" or "5xx"',
            'm.status[2]: "504-500" has no status in it; write "500-504"',
            'm.status[3]: must be a status, not a boolean; write a status such as 503, "500-599" or "5xx"',
            "m.method: unknown key; keys here are all, any, not, status",
            match=CLASS,
        )

    def test_wrong(self) -> None:
        """What is wrong is said where it stands, all of it."""
        self.says(
            '{ method = "G T", path = "a", path_prefix = "/a?b=1", path_regex = "a(?=b)", headers = { "a b" = "1", '
            'x = 1, y = { prefix = "a" } }, query = {}, mehtod = "GET", all = [], any = [{}], not = { path = 1 } }',
            'm.method: "G T" is no such name; names are letters, digits and -',
            'm.path: "a" does not begin with /; write "/a"',
            'm.path_prefix: "/a?b=1" has a query, which a path does not; parameters are query = { name = ... }',
            'm.path_regex: "a(?=b)" is none of RE2\'s: look-around, (?= (?! (?<= or (?<!, takes time without bound; '
            "see docs/profiles.rst, Patterns",
            'm.headers."a b": "a b" is no such name; names are letters, digits and -',
            'm.headers.x: 1 is nothing to compare with; write "value", true (any value), false (not there) or '
            '{ regex = "..." }',
            'm.headers.y: {...} is nothing to compare with; write "value", true (any value), false (not there) or '
            '{ regex = "..." }',
            'm.query: must be a table of names; write { name = "value" }, or { name = true } for any value',
            'm.mehtod: unknown key; did you mean "method"?',
            "m.all: is empty; leave it out",
            "m.any[0]: is empty; leave it out: every request is meant then",
            "m.not.path: must be a string, not an integer; write it in double quotes",
        )
        self.says(
            '{ path = "/a#b" }',
            'm.path: "/a#b" has a fragment, which nobody is sent; write %23 where # is part of the path',
        )
        self.says('"GET"', 'm: must be a table, not a string; write { path_prefix = "/books" }')

    def test_deep(self) -> None:
        """What is nested beyond all sense is refused."""
        deep: Any = {"path": "/a"}
        for _ in range(100):
            deep = {"not": deep}
        report = Report("")
        self.assertIs(NOTHING, MATCH.read(deep, (), report))
        self.assertIn("is nested more than 16 deep", str(report.problems[0]))
        for _ in range(20):
            deep = [deep]
        self.assertRaises(Wrong, MATCH.read, deep, (), report, 20)
