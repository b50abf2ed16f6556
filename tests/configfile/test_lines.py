# -*- test-case-name: tests.configfile.test_lines -*-
"""
The line that a key stands on.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.configfile import lines, load
from lproxy.configfile.lines import Lines, locate


class LineTests(SynchronousTestCase):
    def test_when_asked(self) -> None:
        """Nothing is looked for in a file that has nothing wrong with it; where something is, it is found once."""
        texts: list[str] = []

        def counted(text: str) -> object:
            texts.append(text)
            return locate(text)

        self.patch(lines, "locate", counted)
        load('[admin]\naddress = ""', "f", {})
        self.assertEqual([], texts)
        loaded = load("a = 1\nb = 2", "f", {})
        self.assertEqual(["f:1", "f:2"], [str(problem)[:3] for problem in loaded.problems])
        self.assertEqual(1, len(texts))
        found = Lines("a = 1\nb.c = 2")
        self.assertEqual({("a",): 1, ("b",): 2, ("b", "c"): 2}, dict(found))
        self.assertEqual((3, False), (len(found), ("c",) in found))

    def test_lines(self) -> None:
        """Every way to write a key in TOML has its line."""
        text = "\n".join(
            [
                "a = 1",  # 1
                "b.c . 'd e' = { f = [1, 2], g.h = '''",
                "[x]",  # inside a string
                "''' }",
                '"q\\u0041" = """',  # 5
                'k = 1 \\""" """""',  # ends with two quotes of its own
                "[t] # ] x = 1",
                "k = [ # [",
                ' "]", { m = 1979-05-27 07:32:00 },',
                "]",  # 10
                '[[l."p.q"]]',
                "[l.'p.q'.s]",
                "k = -inf",
                '[["l" . "p.q"]]\r',
                "k = ''",  # 15
                "[t.u.v]",
                "[t.u]",
                'k = "\\"#" # k2 = 1',
                '2024-01-01 = ""',
            ]
        )
        lines = locate(text)
        expected = {
            ("a",): 1,
            ("b",): 2,
            ("b", "c", "d e"): 2,
            ("b", "c", "d e", "f", 1): 2,
            ("b", "c", "d e", "g", "h"): 2,
            ("qA",): 5,
            ("t",): 7,
            ("t", "k"): 8,
            ("t", "k", 0): 9,
            ("t", "k", 1, "m"): 9,
            ("l", "p.q", 0): 11,
            ("l", "p.q", 0, "s", "k"): 13,
            ("l", "p.q", 1): 14,
            ("l", "p.q", 1, "k"): 15,
            ("t", "u"): 16,
            ("t", "u", "v"): 16,
            ("t", "u", "k"): 18,
            ("t", "u", "2024-01-01"): 19,
        }
        self.assertEqual(expected, {path: lines.get(path) for path in expected})
        self.assertNotIn(("x",), lines)
        self.assertNotIn(("k",), lines)

    def test_lost(self) -> None:
        """Where the scanner loses its way, what it has found stays and nothing is raised."""
        for rest in ("b", "b = ", "b = [1 2]", "b = {", "b = [", "[[b]", '"\\x" = 1', "b = " + "[" * 10000):
            self.assertEqual(1, locate(f"a = 1\n{rest}")[("a",)])
