# -*- test-case-name: tests.configfile.test_syntax -*-
"""
Files that are no TOML.
"""

from __future__ import annotations

import time

from lproxy.configfile import load
from tests.configfile.case import LISTEN, PLUGINS, FileTestCase

TOML = "lproxy reads TOML: write key = value, below a table such as [admin] or [[listen]]"


class SyntaxTests(FileTestCase):
    def test_syntax(self) -> None:
        """What is no TOML is one problem, with its line where there is one."""
        for text, says in {
            "\n[a": "f:2: not valid TOML: Expected ']' at the end of a table declaration (at end of document)",
            "a = " + "[" * 10000: "f: not valid TOML: nested too deeply",
            "a = " + "9" * 10000: "f: not valid TOML: a number of thousands of digits",
            "[timeouts]\nacquire = 3s": "f:2: not valid TOML: Expected newline or end of document after a statement, "
            'at column 12; durations and sizes stand in quotes: write "3s"',
        }.items():
            self.problems(text, says)

    def test_twice(self) -> None:
        """A key or a table that stands there twice is named, with both lines."""
        for text, says in {
            "a = 1\na = 2\n": "f:2: a: is given twice, on line 1 too; leave out one of the two",
            '[admin]\naddress = ""\nhosts = []\naddress = [\n1]': "f:4: admin.address: is given twice, on line 2 too; "
            "leave out one of the two",
            "[dns]\n[limits]\n[dns]": "f:3: [dns]: is declared twice, on line 1 too; put all its keys below one",
            '[services."a:80"]\n[services."a:80"]': 'f:2: [services."a:80"]: is declared twice, on line 1 too; put all '
            "its keys below one",
            f"{LISTEN}[listen]": "f:4: [listen]: is declared twice, on line 1 too; write [[listen]], in double "
            "brackets, for each listener",
            f"{LISTEN}[listen.kafka]\n[listen.kafka]": "f:5: [listen[0].kafka]: is declared twice, on line 4 too; put "
            "all its keys below one",
            "a = {b = 1, b = 2}": "f:1: a.b: is given twice, on line 1 too; leave out one of the two",
        }.items():
            self.problems(text, says)
        # one that this scanner does not find is told without Python's brackets
        self.says("a = {}\n[a.b]", "f:2: not valid TOML: Cannot declare a.b twice, at column 5")

    def test_quotes(self) -> None:
        """Where quotes are missing they are shown."""
        for line, says in {
            "[services.web.local:80]": 'write [services."web.local:80"]',
            "[[services.web:80]]": 'write [[services."web:80"]]',
            "name = web": 'text stands in quotes: write "web"',
            "address = 127.0.0.1:80 # here": 'text stands in quotes: write "127.0.0.1:80"',
            "path = /var/log/x": 'text stands in quotes: write "/var/log/x"',
            "acquire = 300ms": 'durations and sizes stand in quotes: write "300ms"',
            "buffer = 64KiB": 'durations and sizes stand in quotes: write "64KiB"',
            "address = \u201c127.0.0.1:80\u201d": 'write straight quotes: "',
            'path = "C:\\Users"': "write a path in single quotes, where a backslash is one",
            'path = "x" // a comment': "comments begin with #",
            'path = "x";': "comments begin with #",
            "shutdown = True": "; write true",
            "shutdown = no": "; write false",
        }.items():
            self.says(line, says)

    def test_variables(self) -> None:
        """A file has no variables, with and without quotes."""
        for line in ("[admin]\naddress = ${ADMIN}", "[admin]\naddress = $ADMIN"):
            self.says(line, "variables are not replaced: write the value, or fill it in before: envsubst < FILE")
        for value in ("${ADMIN}", "127.0.0.1:${PORT}", "{{ admin }}"):
            self.says(f'[admin]\naddress = "{value}"', "are not replaced; write the value, or fill it in before")
        self.good('[access_log]\npath = "a$b"')

    def test_other_formats(self) -> None:
        """YAML, JSON and what other proxies read are told from a slip in TOML, at their first line."""
        for text, what in {
            "listen:\n  - name: web\n": "YAML",
            "# a comment\n---\nadmin:\n": "YAML",
            "- listen: x": "YAML",
            '{"listen": []}': "JSON",
            '{\n  "listen": [],\n}': "JSON",
            '["listen", {}]': "JSON",
            "<listen/>": "XML",
            "server {\n  listen 80;\n}": "the configuration of another program",
        }.items():
            line = 2 if text.startswith("#") else 1
            self.problems(text, f"f:{line}: not TOML but {what}; {TOML}")
        self.says("[admin]\naddress: 127.0.0.1:80", TOML)

    def test_deep_keys(self) -> None:
        """A dotted key of thousands of parts is refused, wherever it stands, before it can take any time."""
        for part in ("a", '"a"', "'a'"):
            deep = ".".join([part] * 3000)
            for text in (f"{deep} = 1", f"[{deep}]", f"[[{deep}]]", f"a = {{{deep} = 1}}", f"dns.servers.{deep} = 1"):
                began = time.process_time()
                self.problems(text, "f:1: not valid TOML: a key of more than 100 parts")
                self.assertTrue(time.process_time() - began < 0.5)

    def test_long_keys(self) -> None:
        """A key, a name or a value of kilobytes takes no time either, and nothing raises."""
        long = "ab-." * 1500
        for text in (
            f'"{long}" = 1',
            f'[limits]\n"{long}" = 1',
            f'[services."{long}:80"]\nendpoints = ["{long}"]',
            f'{LISTEN}target = "service:{long}"',
            f'{LISTEN}protocol = "{long}"\ndetect = ["{long}"]',
            f'[timeouts]\nacquire = "{long}"',
            f'[kafka]\n"{long}" = 1',
            "dns.servers" + ".a" * 90 + " = 1",
        ):
            began = time.process_time()
            self.assertTrue(load(text, "f", PLUGINS).problems)
            self.assertTrue(time.process_time() - began < 0.5)
