# -*- test-case-name: tests.configfile.test_load -*-
"""
A file as a whole: what a good one becomes, what is said of one that cannot be read, and that loading never raises.
"""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lproxy.config import Config, Timeouts
from lproxy.configfile import Loaded, load, load_file, render
from tests.configfile.case import GOOD, PLUGINS, FileTestCase


class GoodTests(FileTestCase):
    def test_empty(self) -> None:
        """An empty file is the built-in defaults."""
        for text in ("", "\n", "# nothing\r\n", "\ufeff"):
            self.assertEqual(Config(), self.good(text, {}))

    def test_everything(self) -> None:
        """Every value of a file arrives where it belongs, in the right unit; all else keeps its default."""
        config = self.good(GOOD)
        outbound, inbound, unix = config.listen
        self.assertEqual(
            ("outbound", "127.0.0.1:4140", "outbound", "authority", ("http", "kafka"), None),
            (outbound.name, outbound.address, outbound.direction, outbound.target, outbound.detect, outbound.protocol),
        )
        self.assertEqual(("inbound", "service:app", "tcp"), (inbound.direction, inbound.target, inbound.protocol))
        self.assertEqual(("unix:/run/lproxy.sock:mode=660", "db.local:5432"), (unix.address, unix.target))
        self.assertEqual(("127.0.0.1:8081", "[::1]:8081"), config.services["app"].endpoints)
        self.assertEqual("web.local:80", config.services["web.local:80"].name)
        self.assertEqual(
            Timeouts(acquire=5.0, stream=120.0, body=None, service_idle=1.5, upstream_idle=1.0), config.outbound
        )
        self.assertEqual(replace(Config().inbound, acquire=0.5, stream=120.0, body=None), config.inbound)
        self.assertEqual(replace(Config().limits, buffer=131072, detect=4096, in_flight=5), config.limits)
        self.assertEqual(replace(Config().admin, hosts=("proxy.local",), log_level=True), config.admin)
        self.assertEqual(("-", Config().dns), (config.access_log.path, config.dns))

    def test_both_directions(self) -> None:
        """[timeouts] wins over the defaults of both directions, a direction's own table over that."""
        config = self.good('[timeouts]\nacquire = "4s"\n[timeouts.inbound]\nacquire = "2s"\n[timeouts.outbound]\n')
        self.assertEqual((4.0, 2.0), (config.outbound.acquire, config.inbound.acquire))
        self.assertEqual((1.0, 0.3), (config.outbound.connect, config.inbound.connect))

    def test_one_spelling(self) -> None:
        """Addresses are kept in one spelling, however the file has them."""
        config = self.good('[dns]\nservers = ["[0:0::1]:053", "127.0.0.1:53"]')
        self.assertEqual(("[::1]:53", "127.0.0.1:53"), config.dns.servers)


class FileTests(FileTestCase):
    def write(self, content: bytes) -> str:
        path = self.mktemp()
        Path(path).write_bytes(content)
        return path

    def said(self, path: str) -> list[str]:
        loaded = load_file(path, {})
        self.assertIsNone(loaded.config)
        return [str(problem).removeprefix(path) for problem in loaded.problems]

    def test_good(self) -> None:
        """A file is read as UTF-8, whatever line ends and byte order mark its editor gave it."""
        for content in (b'[access_log]\npath = "\xc3\xa9"', b'\xef\xbb\xbf[access_log]\r\npath = "\xc3\xa9"\r\n'):
            loaded = load_file(self.write(content), {})
            self.assertEqual((Config().limits, ()), (loaded.config and loaded.config.limits, loaded.problems))
            self.assertEqual("é", loaded.config and loaded.config.access_log.path)

    def test_empty(self) -> None:
        """A file that says nothing starts the default listeners, and a warning says so."""
        for content in (b"", b"\n# nothing\n", b"\xef\xbb\xbf \r\n"):
            path = self.write(content)
            loaded = load_file(path, {})
            self.assertEqual(Config(), loaded.config)
            self.assertEqual(
                [
                    f"{path}: warning: is empty: the default listeners run, outbound on 127.0.0.1:4140 and inbound on "
                    "127.0.0.1:4143; is this the right file?"
                ],
                [str(problem) for problem in loaded.problems],
            )

    def test_unreadable(self) -> None:
        """A file that is not there, or no file, is a problem that says so."""
        self.assertEqual([": cannot be read: No such file or directory"], self.said(self.mktemp()))
        self.assertEqual([": cannot be read: Is a directory"], self.said("/"))
        self.assertIn("null byte", self.said("a\0b")[0])

    def test_too_long(self) -> None:
        """A file that can be no configuration is not read to its end."""
        said = self.said(self.write(b"#" * 5_000_000))
        self.assertEqual([": is longer than 4194304 bytes; is this the right file?"], said)

    def test_not_utf8(self) -> None:
        """Another encoding is named by its first wrong byte and line."""
        self.assertEqual([":2: not UTF-8: byte 0xe9; save the file as UTF-8"], self.said(self.write(b"\n# \xe9")))
        self.assertEqual([":1: not UTF-8: byte 0xff; save the file as UTF-8"], self.said(self.write(b"\xff\xfea\0")))


class LoadedTests(SynchronousTestCase):
    def test_values(self) -> None:
        """What loading gives is a value: equal for equal files."""
        self.assertEqual(load("x = 1", "f", {}), load("x = 1", "f", {}))
        self.assertEqual(Loaded(Config(), ()), load("", "f", {}))


class MutationTests(SynchronousTestCase):
    #: what the mutations put in
    SPLINTERS = (
        *"\"'[]{}=.,#\n\\\0é0s",
        *("[[", "]]", '"""', '""', "[]", "{}", "-1", "inf", "nan", "true", "1979-05-27", "0x" + "f" * 5000),
        *("[listen]", "[[services]]", "name"),
    )

    def mutant(self, rng: random.Random) -> str:
        text = GOOD
        for _ in range(rng.randint(1, 3)):
            start = rng.randrange(len(text))
            length = rng.choice((0, 1, 1, 5, 40))
            choice = rng.random()
            if choice < 0.4:
                new = rng.choice(self.SPLINTERS)
            elif choice < 0.6:
                other = rng.randrange(len(text))
                new = text[other : other + 30]
            else:
                new = ""
            text = text[:start] + new + text[start + length :]
        return text

    def value_mutant(self, rng: random.Random) -> str:
        """C{GOOD} with other values, so that most mutants are TOML and reach the checks."""
        values = [line.partition("=")[2] for line in GOOD.splitlines() if "=" in line and not line.endswith("[")]
        values += [" 0", " true", " []", " {}", " [[]]", " [{}]", " nan", " 07:32:00", ' ""', ' "\\u0000"', " [1, [2]]"]
        lines = GOOD.splitlines()
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(lines))
            key, equals, _ = lines[at].partition("=")
            if equals and not lines[at].startswith("#") and not lines[at].endswith("["):
                lines[at] = key + equals + rng.choice(values)
        return "\n".join(lines)

    def test_never_raises(self) -> None:
        """Whatever is done to a file, loading it ends with a configuration or with errors, and lines that exist."""
        rng = random.Random(4140)
        outcomes = {True: 0, False: 0}
        for turn in range(3000):
            text = self.mutant(rng) if turn % 2 else self.value_mutant(rng)
            try:
                loaded = load(text, "f", PLUGINS)
                if loaded.config is not None:
                    json.dumps(render(loaded.config))
            except Exception:
                self.fail(f"raised for {text!r}")
            errors = [problem for problem in loaded.problems if problem.severity == "error"]
            self.assertEqual(bool(errors), loaded.config is None)
            outcomes[loaded.config is None] += 1
            for problem in loaded.problems:
                self.assertTrue(str(problem).isprintable())
                if problem.line is not None:
                    self.assertTrue(1 <= problem.line <= text.count("\n") + 1, (text, problem))
        self.assertTrue(min(outcomes.values()) > 100, outcomes)
