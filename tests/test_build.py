# -*- test-case-name: tests.test_build -*-
"""
Tests for L{lproxy.build} and for the build backend, C{backend/lproxy_build.py}.

That a compiled wheel is built, says so and passes the tests is for C{.ci/run}, for it takes minutes.
"""

from __future__ import annotations

import ast
import builtins
import importlib.util
import os
import re
import sys
import sysconfig
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

from twisted.python.reflect import namedAny
from twisted.trial.unittest import SynchronousTestCase

import lproxy
from lproxy import target
from lproxy.build import build, version
from tests.test_floors import ROOT


class Setuptools(ModuleType):
    """A double of setuptools and of its build backend, which notes what it is asked to build."""

    Extension = object

    def __init__(self) -> None:
        super().__init__("setuptools")
        self.build_meta = self
        self.built: list[tuple[object, ...]] = []
        self.extensions: list[list[str]] = []

    def get_requires_for_build_wheel(self, settings: object) -> list[str]:
        return ["theirs"]

    get_requires_for_build_editable = get_requires_for_build_sdist = get_requires_for_build_wheel

    def build_wheel(self, *arguments: object) -> str:
        self.built.append(arguments)
        self.extensions.append([*self.backend.extensions])
        return "a.whl"

    build_editable = build_sdist = prepare_metadata_for_build_wheel = prepare_metadata_for_build_editable = build_wheel


class BackendTestCase(SynchronousTestCase):
    """Tests of the build backend, which is on nobody's path but an installer's."""

    def setUp(self) -> None:
        self.setuptools = Setuptools()
        with patch.dict(sys.modules, {"setuptools": self.setuptools, "setuptools.build_meta": self.setuptools}):
            spec = importlib.util.spec_from_file_location("lproxy_build", ROOT / "backend" / "lproxy_build.py")
            self.backend = self.setuptools.backend = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(self.backend)


class BuildTests(SynchronousTestCase):
    """Which build it is."""

    def test_build(self) -> None:
        """A hot module that comes from an extension module makes it a compiled build."""
        self.assertEqual("pure", build("/x/lproxy/target.py"))
        self.assertEqual("compiled", build(f"/x/lproxy/target{EXTENSION_SUFFIXES[0]}"))
        self.assertEqual("pure", build(None))

    def test_this(self) -> None:
        """It is told of the lproxy that runs."""
        self.assertEqual("pure" if Path(target.__file__).suffix == ".py" else "compiled", build())

    def test_version(self) -> None:
        """The version for people has both."""
        self.assertEqual(f"{lproxy.__version__} ({build()})", version())


class HookTests(BackendTestCase):
    """What an installer asks the backend."""

    def environ(self, **variables: str) -> None:
        """Only these are in the environment."""
        self.patch(os, "environ", variables)

    def refusal(self, **variables: str) -> str:
        """What is said when a wheel cannot be built."""
        self.environ(**variables)
        return str(self.assertRaises(SystemExit, self.backend.get_requires_for_build_wheel).code)

    def test_pure(self) -> None:
        """Without the variable nothing but setuptools is asked for, and a compiler is not looked for."""
        for variables in ({}, {"LPROXY_COMPILE": ""}, {"LPROXY_COMPILE": "0"}):
            self.environ(CC="/nowhere/cc", **variables)
            self.assertEqual(["theirs"], self.backend.get_requires_for_build_wheel())
            self.assertEqual(["theirs"], self.backend.get_requires_for_build_editable())

    def test_compiled(self) -> None:
        """With it, mypyc, and every requirement of lproxy's, for its types."""
        self.environ(LPROXY_COMPILE="1", CC="env")
        self.patch(sysconfig, "get_path", lambda name: self.headers())
        wanted = self.backend.get_requires_for_build_wheel()
        names = [re.match(r"[\w-]+", line)[0] for line in wanted]
        self.assertEqual(["theirs", "mypy", "mypy-zope", "twisted"], names[:4])
        self.assertIn("prometheus-client", names)

    def test_build(self) -> None:
        """A wheel gets extension modules when they are asked for, and then alone."""
        self.patch(self.backend, "compiled", lambda scratch: ["extension"])
        self.patch(self.backend, "need_compiler", lambda: None)
        for variables in ({}, {"LPROXY_COMPILE": "1"}, {}):
            self.environ(**variables)
            self.assertEqual("a.whl", self.backend.build_wheel("out", None, "metadata"))
        self.assertEqual([("out", None, "metadata")] * 3, self.setuptools.built)
        self.assertEqual([[], ["extension"], []], self.setuptools.extensions)

    def test_failed(self) -> None:
        """What does not compile ends the build; nothing is packed."""
        self.environ(LPROXY_COMPILE="1", CC="env")
        self.patch(sysconfig, "get_path", lambda name: self.headers())

        def compiled(scratch: Path) -> list[str]:
            raise SystemExit(1)

        self.patch(self.backend, "compiled", compiled)
        self.assertRaises(SystemExit, self.backend.build_wheel, "out")
        self.assertEqual([], self.setuptools.built)

    def headers(self) -> str:
        """A folder with Python's headers."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "Python.h").touch()
        return str(folder)

    def test_no_compiler(self) -> None:
        """Who asks for the compiled build and has no compiler is told so: it never becomes the pure one unseen."""
        said = self.refusal(LPROXY_COMPILE="1", CC="/nowhere/cc -m64", PATH="/nowhere")
        self.assertEqual(
            "lproxy: LPROXY_COMPILE=1, but the C compiler, /nowhere/cc, is not installed (Debian: gcc); "
            "unset it to install the pure build",
            said,
        )

    def test_no_headers(self) -> None:
        """Python's headers are part of it."""
        self.patch(sysconfig, "get_path", lambda name: "/nowhere")
        self.assertIn("no /nowhere/Python.h (Debian: python3-dev)", self.refusal(LPROXY_COMPILE="1", CC="/bin/sh"))

    def test_nonsense(self) -> None:
        """Another value is no guess."""
        self.assertIn("not 'yes'", self.refusal(LPROXY_COMPILE="yes"))

    def test_editable(self) -> None:
        """What is edited is never compiled: the extension modules would hide the sources."""
        self.environ(LPROXY_COMPILE="1")
        out = self.mktemp()
        for hook, arguments in (
            (self.backend.get_requires_for_build_editable, ()),
            (self.backend.prepare_metadata_for_build_editable, (out,)),
            (self.backend.build_editable, (out,)),
        ):
            self.assertIn("install without -e", str(self.assertRaises(SystemExit, hook, *arguments).code))

    def test_built_elsewhere(self) -> None:
        """setuptools builds outside the checkout, and the environment is as before."""
        for before in ({}, {"DIST_EXTRA_CONFIG": "mine"}):
            self.environ(**before)
            with self.backend.built_elsewhere() as scratch:
                text = Path(os.environ["DIST_EXTRA_CONFIG"]).read_text()
            self.assertEqual(f"[build]\nbuild_base = {scratch}/build\n", text)
            self.assertEqual((before, False), (os.environ, scratch.exists()))


class HotTests(BackendTestCase):
    """What is compiled."""

    def test_there(self) -> None:
        """Everything that the list names is there, and each file is taken once."""
        self.assertEqual([], [name for name in self.backend.HOT if not (ROOT / name).exists()])
        files = self.backend.hot()
        self.assertEqual(sorted(set(files)), sorted(files))
        self.assertEqual([], [file for file in files if not (ROOT / file).is_file() or file.endswith("__init__.py")])

    def test_folder(self) -> None:
        """A new file in a folder joins by itself."""
        root = Path(self.mktemp())
        for name in ("a/__init__.py", "a/one.py", "a/b/two.py", "three.py", "four.py"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
        self.patch(self.backend, "HOT", ("three.py", "a"))
        self.assertEqual(["three.py", "a/b/two.py", "a/one.py"], self.backend.hot(root))

    def test_tells(self) -> None:
        """The module by which a build is told is compiled."""
        self.assertIn("lproxy/target.py", self.backend.hot())

    def test_traps(self) -> None:
        """No hot file has what mypyc accepts and then breaks at run time."""
        found = [
            f"{file}:{line}: {what}"
            for file in self.backend.hot()
            for line, what in traps(ast.parse((ROOT / file).read_text()))
        ]
        self.assertEqual([], found)

    def test_traps_seen(self) -> None:
        """They are recognised where they stand."""
        for text, what in (
            ("@dataclass\nclass A(ValueError): pass", "a dataclass that is an exception"),
            ("@dataclass(frozen=True)\nclass A(ProxyError): pass", "a dataclass that is an exception"),
            ("class A(protocol.Protocol): pass", "a base class named through its module"),
            ("class A:\n  def f(self): del self.x", "del of an attribute"),
            ("raise A(1) from e", "raise from: see ProxyError.because"),
            ("x in (1, *y)", "a star on the right of in"),
            (
                "def f():\n  try: pass\n  except A as e: pass\n  try: pass\n  except B as e: pass",
                "e, which was A, is B: a name has the type of its first error",
            ),
            ("log = Logger()", "a Logger that finds its name in its caller's frame: Logger(__name__)"),
        ):
            self.assertEqual([what], [what for _, what in traps(ast.parse(text))], text)
        for text in (
            "@dataclass\nclass A(Base): pass",
            "del y[1]",
            "raise A from None",
            "raise A().because(e) from e",
            "def f():\n  try: pass\n  except OSError as e: pass\n  except A as e: pass",
        ):
            self.assertEqual([], list(traps(ast.parse(text))), text)

    def test_bases(self) -> None:
        """What is compiled is inherited from by what is compiled alone, but for errors: Python refuses the class."""
        hot = self.backend.hot()
        found = [
            f"{path}: {name} inherits from {base}, which is compiled"
            for path in map(str, sorted(path.relative_to(ROOT) for path in (ROOT / "lproxy").rglob("*.py")))
            if path not in hot
            for name, base in inherited((ROOT / path).read_text())
            if home(base) in hot and not is_error(base)
        ]
        self.assertEqual([], found)

    def test_bases_seen(self) -> None:
        """They are known by where they come from."""
        text = "from lproxy.transport.detect import Edge as E\nclass A(E, B): pass\nclass C(list): pass"
        self.assertEqual([("A", "lproxy.transport.detect.Edge")], list(inherited(text)))
        self.assertEqual("lproxy/transport/stream.py", home("lproxy.api.Reader"))
        self.assertTrue(is_error("lproxy.transport.connect.ConnectFailed"))
        self.assertFalse(is_error("lproxy.transport.detect.Edge"))


def inherited(text: str) -> Iterator[tuple[str, str]]:
    """Each class in C{text} with each of its bases that was imported, by that one's full name."""
    tree = ast.parse(text)
    imported = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for base in node.bases:
                name = ast.unparse(base).partition("[")[0]
                if name in imported:
                    yield node.name, imported[name]


def home(name: str) -> str:
    """The file that defines the class with this full name, wherever it was imported from."""
    return f"{getattr(namedAny(name), '__module__', '').replace('.', '/')}.py"


def is_error(name: str) -> bool:
    """Whether the class with this full name is an exception."""
    kind = namedAny(name)
    return isinstance(kind, type) and issubclass(kind, BaseException)


def renamed(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[int, str]]:
    """Where a name that was an error of a class of ours is one of another class: it is checked for the first."""
    first: dict[str, str] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.ExceptHandler) and node.name and node.type is not None:
            kind = ast.unparse(node.type)
            before = first.setdefault(node.name, kind)
            if kind != before and before not in vars(builtins):
                yield node.lineno, f"{node.name}, which was {before}, is {kind}: a name has the type of its first error"


def traps(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and name of what a compiled module must not have."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Delete) and any(isinstance(one, ast.Attribute) for one in node.targets):
            yield node.lineno, "del of an attribute"
        if (
            isinstance(node, ast.Raise)
            and node.cause is not None
            and ast.unparse(node.cause) != "None"
            and ".because(" not in ast.unparse(node.exc)
        ):
            yield node.lineno, "raise from: see ProxyError.because"
        if isinstance(node, ast.Compare) and any(
            isinstance(part, ast.Starred)
            for op, right in zip(node.ops, node.comparators, strict=True)
            if isinstance(op, (ast.In, ast.NotIn))
            for part in ast.walk(right)
        ):
            yield node.lineno, "a star on the right of in"
        if isinstance(node, ast.Call) and ast.unparse(node) == "Logger()":
            yield node.lineno, "a Logger that finds its name in its caller's frame: Logger(__name__)"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from renamed(node)
        if not isinstance(node, ast.ClassDef):
            continue
        decorators = [ast.unparse(one) for one in node.decorator_list]
        bases = [ast.unparse(one) for one in node.bases]
        if any(one.startswith("dataclass") for one in decorators) and any(
            one.endswith(("Error", "Exception")) for one in bases
        ):
            yield node.lineno, "a dataclass that is an exception"
        if any("." in one.partition("[")[0] for one in bases):
            yield node.lineno, "a base class named through its module"
