# -*- test-case-name: tests.app.test_plugins -*-
"""
Tests for L{lproxy.app.plugins}: which protocols there are, and what is wrong with the others.
"""

from __future__ import annotations

import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

import lproxy
import lproxy.plugins
from lproxy.api import IProtocolPlugin, NoMatch, Verdict
from lproxy.app.plugins import Found, configures, find, tried

PROVIDER = """
from zope.interface import implementer
from lproxy.api import IProtocolPlugin

@implementer(IProtocolPlugin)
class Provider:
    name = "third"
    version = "1.2"
    detector = None
    def configure(self, table): pass
    def factory(self, runtime, config): pass
"""

BUILT_IN = ("http", "kafka", "tcp")


class FindTests(SynchronousTestCase):
    """What is found in the places of Twisted's plugin system."""

    def setUp(self) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="lproxy-plugins-"))
        self.addCleanup(self.forget)
        self.patch(lproxy.plugins, "__path__", [*lproxy.plugins.__path__[:1], str(self.place)])
        self.patch(sys, "dont_write_bytecode", True)

    def forget(self) -> None:
        """Leave no modules of the test's behind."""
        for name, module in list(sys.modules.items()):
            if (getattr(module, "__file__", None) or "").startswith(str(self.place)):
                del sys.modules[name]
        for path in self.place.iterdir():
            path.unlink()
        self.place.rmdir()

    def ship(self, name: str, text: str) -> None:
        """A third party's file."""
        (self.place / f"{name}.py").write_text(textwrap.dedent(text))

    def third(self) -> list[Found]:
        """What is found besides the built-in ones."""
        return [one for one in find() if one.name not in BUILT_IN or one.error]

    def test_built_in(self) -> None:
        """HTTP, Kafka and TCP come through the same door, with their version and file."""
        found = {one.name: one for one in find()}
        self.assertEqual(set(BUILT_IN), set(found))
        for name, one in found.items():
            self.assertEqual((lproxy.__version__, ""), (one.version, one.error))
            self.assertTrue(one.file.endswith(f"lproxy_{name}.py"))

    def test_third_party(self) -> None:
        """A provider in anybody's file."""
        self.ship("ours", PROVIDER + "third = Provider()")
        (one,) = self.third()
        self.assertEqual(("third", "1.2", ""), (one.name, one.version, one.error))
        self.assertEqual({"name": "third", "version": "1.2", "file": str(self.place / "ours.py")}, one.describe())

    def test_twice(self) -> None:
        """One provider under two names is one; two in a file are two."""
        self.ship(
            "ours",
            PROVIDER + "third = also = Provider()\nsecond = Provider()\nsecond.name = 'second'",
        )
        self.assertEqual([("third", ""), ("second", "")], [(one.name, one.error) for one in self.third()])

    def test_same_name(self) -> None:
        """Of two with one name the first file's counts, and a built-in one before all."""
        self.ship("a_first", PROVIDER + "third = Provider()")
        self.ship("b_second", PROVIDER + "third = Provider()")
        self.ship("a_http", PROVIDER + "Provider.name = 'http'\nhttp = Provider()")
        self.assertEqual(
            [
                ("a_first.py", ""),
                ("a_http.py", "another plugin has this name already"),
                ("b_second.py", "another plugin has this name already"),
            ],
            sorted((Path(one.file).name, one.error) for one in self.third()),
        )
        (http,) = (one for one in find() if one.name == "http" and not one.error)
        self.assertTrue(http.file.endswith("lproxy_http.py"))

    def broken(self, text: str) -> str:
        """What is said of a file that is broken; another beside it is found all the same."""
        self.ship("bad", text)
        self.ship("good", PROVIDER + "third = Provider()")
        bad, good = sorted(self.third(), key=lambda one: one.file)
        self.assertEqual(("third", ""), (good.name, good.error))
        self.assertEqual((str(self.place / "bad.py"), None), (bad.file, bad.plugin))
        self.assertEqual({*BUILT_IN, "third"}, set(configures(find())))
        self.assertEqual(bad.error, bad.describe()["error"])
        return bad.error

    def test_import(self) -> None:
        """A file that cannot be imported."""
        self.assertEqual("ModuleNotFoundError: No module named 'no_such'", self.broken("import no_such"))

    def test_exit(self) -> None:
        """A file that is a script, and ends whoever imports it."""
        self.assertEqual("SystemExit: 3", self.broken("raise SystemExit(3)"))

    def test_syntax(self) -> None:
        """A file that is no Python."""
        self.assertIn("SyntaxError: ", self.broken("def"))

    def test_no_attribute(self) -> None:
        """A provider that lacks what the interface asks for, whatever it is."""
        for name in ("name", "version", "detector", "configure", "factory"):
            self.assertIn(
                f"has no attribute '{name}'", self.broken(PROVIDER + f"del Provider.{name}\nbad = Provider()")
            )
            self.forget_modules()

    def forget_modules(self) -> None:
        """Have files be read again."""
        for name in ("bad", "good"):
            sys.modules.pop(f"lproxy.plugins.{name}", None)

    def test_property(self) -> None:
        """A provider whose attributes raise, even SystemExit."""
        text = (
            PROVIDER + "class Bad(Provider):\n    @property\n    def version(self): raise SystemExit('no')\nbad = Bad()"
        )
        self.assertEqual("SystemExit: no", self.broken(text))

    def test_not_callable(self) -> None:
        """A provider whose methods are something else."""
        text = PROVIDER + "Provider.factory = 'Factory'\nbad = Provider()"
        self.assertEqual("TypeError: factory is 'Factory', which cannot be called", self.broken(text))

    def test_name(self) -> None:
        """A name that cannot stand in a configuration file or a label."""
        for name in ("'Third'", "''", "None", "'a b'", "'ä'", "'x' * 64", "'a\\n'"):
            said = self.broken(PROVIDER + f"Provider.name = {name}\nbad = Provider()")
            self.assertRegex(said, r"\AValueError: name is .*; it must be lower case letters, digits, - and _\Z")
            self.forget_modules()

    def test_forgotten_instance(self) -> None:
        """A class without an instance, the commonest slip, is not passed over in silence."""
        self.assertEqual("has the class Provider but no instance of it: nothing to use", self.broken(PROVIDER))

    def test_not_marked(self) -> None:
        """Nor is one that has all that a plugin has, but does not say that it is one."""
        unmarked = PROVIDER.replace("@implementer(IProtocolPlugin)\n", "")
        self.assertNotEqual(PROVIDER, unmarked)
        self.assertEqual(
            "it is not marked as a plugin: write @implementer(IProtocolPlugin) above class Provider",
            self.broken(unmarked + "provider = Provider()\n"),
        )

    def test_not_a_plugin(self) -> None:
        """A file without a plugin in it, and objects that cannot even be asked, are nobody's business."""
        self.ship(
            "helper",
            """
            class Strange:
                @property
                def __provides__(self): raise RuntimeError
                @property
                def __class__(self): raise RuntimeError
            strange = Strange()
            """,
        )
        self.assertEqual([], self.third())

    def test_error_without_words(self) -> None:
        """An error that cannot say what it is has at least a name; one with many words has one line."""
        silent = "class E(Exception):\n    def __str__(self): raise E\nraise E"
        self.assertEqual("E", self.broken(silent))
        self.forget_modules()
        self.assertEqual("ValueError: a?b", self.broken("raise ValueError('a\\nb')"))


@implementer(IProtocolPlugin)
class Plugin:
    """Does as the test says."""

    name = "third"
    version = "1"

    def __init__(self) -> None:
        self.detector: Any = self.detect
        self.error: BaseException | None = None
        self.tables: list[Any] = []

    def detect(self, prefix: bytes) -> Verdict:
        return NoMatch()

    def configure(self, table: dict[str, Any]) -> None:
        self.tables.append(table)
        if self.error is not None:
            raise self.error

    def factory(self, runtime: Any, config: Any) -> Any:
        raise AssertionError("not before a listener wants it")


class TriedTests(SynchronousTestCase):
    """What fails in the simplest use is broken."""

    def setUp(self) -> None:
        self.plugin = Plugin()
        self.found = Found("third.py", "third", "1", self.plugin)

    def error(self) -> str:
        """What is wrong with it."""
        (one,) = tried([self.found])
        self.assertEqual(("third.py", "third", "1"), (one.file, one.name, one.version))
        self.assertEqual(bool(one.error), one.plugin is None)
        self.assertEqual([] if one.error else ["third"], list(configures([one])))
        return one.error

    def test_well(self) -> None:
        """One that works is asked once, for nothing, and returned as it was."""
        self.assertEqual([self.found], tried([self.found]))
        self.assertEqual([{}], self.plugin.tables)

    def test_needs_settings(self) -> None:
        """One that refuses an empty table in the agreed way is well."""
        self.plugin.error = ValueError("broker: is required")
        self.assertEqual("", self.error())

    def test_configure(self) -> None:
        """Any other error is a bug, which would stop every file from being read."""
        for error in (KeyError("broker"), SystemExit(2)):
            self.plugin.error = error
            self.assertEqual(f"configure({{}}) raised {type(error).__name__}: {error}", self.error())

    def test_detector(self) -> None:
        """A detector has an answer to nothing, too."""
        self.plugin.detector = lambda prefix: prefix[0]
        self.assertEqual("detector(b'') raised IndexError: index out of range", self.error())

    def test_openings(self) -> None:
        """Nor does it raise at what others begin with, or say what is no verdict."""
        self.plugin.detector = lambda prefix: NoMatch() if prefix.isascii() else 1 / 0
        self.assertEqual("detector(b'\\xff\\xff') raised ZeroDivisionError: division by zero", self.error())
        self.plugin.detector = lambda prefix: "yes"
        self.assertEqual("detector(b'') raised TypeError: not a verdict: 'yes'", self.error())

    def test_no_detector(self) -> None:
        """It need not have one."""
        self.plugin.detector = None
        self.assertEqual("", self.error())

    def test_broken_before(self) -> None:
        """What is broken already is left alone."""
        broken = Found("x.py", "x", error="SyntaxError")
        self.assertEqual([broken], tried([broken]))
