# -*- test-case-name: tests.test_floors -*-
"""
The rules of the house that can be read off the source: who may import whom, and what a file looks like.

Floors, from below: values < stack < transport, discover < protocols < metrics, plugins, testing < app < tap, cli.
A floor imports lower ones and its own. The other rules stand in L{complaints}, one function each.

A file over 300 lines says why in its docstring, in a sentence that begins "Over 300 lines:". One over 500 is split.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parent.parent

#: module prefix -> (floor, the floor's name); the longest prefix that fits counts
FLOORS = {
    "lproxy": (0, "values"),
    "lproxy.stack": (1, "stack"),
    "lproxy.transport": (2, "transport"),
    "lproxy.discover": (2, "discover"),
    "lproxy.protocols": (3, "protocols"),
    "lproxy.metrics": (4, "metrics"),
    "lproxy.plugins": (4, "plugins"),
    "lproxy.testing": (4, "testing"),
    "lproxy.app": (5, "app"),
    "lproxy.tap": (6, "tap"),
    "lproxy.cli": (6, "cli"),
    "lproxy.__main__": (6, "cli"),
}

#: the modules of lproxy that lie on the lowest floor; any other at the top level is on no floor
VALUES = ("errors", "target", "config", "configfile", "counters", "interfaces")

#: files in lproxy/protocols/ that belong to no protocol and may be used by all
COMMON = ("runtime", "connection")

#: sans-I/O files of a protocol's room
DETECTORS = ("detect",)
CODECS = ("http1", "http2", "message", "head", "refuse", "chunked", "frame", "header")

#: what touches sockets or OpenSSL
SOCKETS = (
    "socket",
    "select",
    "selectors",
    "ssl",
    "OpenSSL",
    "twisted.internet.tcp",
    "twisted.internet.udp",
    "twisted.internet.unix",
    "twisted.internet.ssl",
    "twisted.internet._sslverify",
    "twisted.protocols.tls",
)

#: what the stack may know of the reactor's world: shapes and Deferreds, and a clock that is handed in
STACK_MAY = ("defer", "task", "interfaces", "error")

#: functions outside a class that Twisted calls by name
TWISTED_CALLS = {("lproxy.tap", "makeService")}


def under(name: str, *prefixes: str) -> bool:
    """Is C{name} one of C{prefixes}, or within one?"""
    return any(name == p or name.startswith(p + ".") for p in prefixes)


@dataclass
class Source:
    """One parsed file. C{module} of a package's C{__init__.py} is the package."""

    module: str
    text: str
    is_package: bool = False

    def __post_init__(self) -> None:
        self.tree = ast.parse(self.text)

    def imports(self) -> Iterator[tuple[int, str]]:
        """Line and dotted name of everything imported, wherever it stands; C{from a import b} is C{a.b}."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield node.lineno, alias.name
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    up = node.level - self.is_package
                    parts = self.module.split(".")
                    base = ".".join([*parts[: len(parts) - up], *filter(None, [base])])
                for alias in node.names:
                    yield node.lineno, f"{base}.{alias.name}"

    @property
    def room(self) -> str:
        """The protocol whose folder this is in, or nothing."""
        parts = self.module.split(".")
        return parts[2] if parts[:2] == ["lproxy", "protocols"] and len(parts) > 2 and parts[2] not in COMMON else ""

    @property
    def is_sans_io(self) -> bool:
        """Is it a detector or a codec?"""
        return bool(self.room) and self.module.split(".")[-1] in DETECTORS + CODECS


def floor(name: str) -> tuple[int, str]:
    """The floor of a module of lproxy, or of a name in one."""
    return FLOORS[max((p for p in FLOORS if under(name, p)), key=len)]


Rule = Callable[[Source], Iterator[tuple[int, str]]]


def upward(source: Source) -> Iterator[tuple[int, str]]:
    """A floor imports lower ones and its own."""
    own, own_name = floor(source.module)
    for line, name in source.imports():
        if not under(name, "lproxy"):
            continue
        theirs, their_name = floor(name)
        if theirs > own or (theirs == own == 4 and their_name != own_name):
            yield line, f"{own_name} imports {name}, which is on the floor of {their_name}"
        if their_name in ("metrics", "testing", "plugins") and own_name not in (their_name, "app", "tap", "cli"):
            yield line, f"{name} is imported by app alone, not by {own_name}"
        if their_name == "testing" and own_name != "testing":
            yield line, f"{name} is for tests and plugin authors; lproxy itself does not import it"


def unknown_floor(source: Source) -> Iterator[tuple[int, str]]:
    """Every module of lproxy is on a floor."""
    parts = source.module.split(".")
    if floor(source.module)[1] == "values" and len(parts) > 1 and parts[1] not in VALUES:
        yield 1, f"{source.module} is on no floor: move it into a folder, or give it one in tests/test_floors.py"


def values_are_plain(source: Source) -> Iterator[tuple[int, str]]:
    """Values need nothing but Python's own library; interfaces may name Twisted's and zope's interfaces."""
    if floor(source.module)[1] != "values":
        return
    allowed = {"lproxy", *sys.stdlib_module_names}
    for line, name in source.imports():
        if name.split(".")[0] not in allowed and not (
            source.module == "lproxy.interfaces"
            and under(name, "zope.interface", "twisted.internet.interfaces", "twisted.plugin")
        ):
            yield line, f"a value imports {name}; values are Python's own library alone"


def sans_io(source: Source) -> Iterator[tuple[int, str]]:
    """Detectors and codecs know bytes alone; the stack knows Deferreds and a clock that it is given."""
    if source.is_sans_io:
        for line, name in source.imports():
            if under(name, "lproxy.transport", "lproxy.stack", "twisted.internet", "time", "asyncio"):
                yield line, f"a detector or codec imports {name}; it takes bytes and gives answers, and nothing else"
    elif under(source.module, "lproxy.stack"):
        for line, name in source.imports():
            if under(name, "time", "asyncio"):
                yield line, f"the stack imports {name}; its clock is an argument"
            if under(name, "twisted.internet") and not under(name, *(f"twisted.internet.{m}" for m in STACK_MAY)):
                yield line, f"the stack imports {name}; of twisted.internet it may use {', '.join(STACK_MAY)}"


def own_room(source: Source) -> Iterator[tuple[int, str]]:
    """One protocol never imports another, so that deleting one breaks nothing."""
    for line, name in source.imports():
        parts = name.split(".")
        if parts[:2] == ["lproxy", "protocols"] and parts[2] not in (source.room, *COMMON):
            if source.room:
                yield line, f"the protocol {source.room} imports {name}"
            elif under(source.module, "lproxy.protocols"):
                yield line, f"{source.module} is common to all protocols, but imports {name}"


def world(source: Source) -> Iterator[tuple[int, str]]:
    """Only tap and cli import the reactor or read the environment."""
    if floor(source.module)[1] in ("tap", "cli"):
        return
    for line, name in source.imports():
        if under(name, "twisted.internet.reactor"):
            yield line, "imports the reactor; only tap and cli do, the others are handed it"
        if under(name, "os.environ", "os.environb", "os.getenv", "os.getenvb"):
            yield line, f"imports {name}; only tap and cli read the environment"
    for node in ast.walk(source.tree):
        if (
            isinstance(node, ast.Attribute)
            and node.attr in ("environ", "environb", "getenv", "getenvb")
            and isinstance(node.value, ast.Name)
            and node.value.id == "os"
        ):
            yield node.lineno, f"reads os.{node.attr}; only tap and cli read the environment"


def one_home(source: Source) -> Iterator[tuple[int, str]]:
    """Sockets and OpenSSL in transport, prometheus_client in metrics, httptools in the HTTP room."""
    for line, name in source.imports():
        if under(name, *SOCKETS) and not under(source.module, "lproxy.transport"):
            yield line, f"imports {name}; only transport touches sockets and OpenSSL"
        if under(name, "prometheus_client") and not under(source.module, "lproxy.metrics"):
            yield line, f"imports {name}; only metrics does"
        if under(name, "httptools") and source.room != "http":
            yield line, f"imports {name}; only the HTTP room does"


def outsiders(source: Source) -> Iterator[tuple[int, str]]:
    """lproxy imports neither its tests nor its benchmark."""
    for line, name in source.imports():
        if under(name, "tests", "benchmark"):
            yield line, f"lproxy imports {name}"


def camel_case(source: Source) -> Iterator[tuple[int, str]]:
    """A camelCase C{def} means that Twisted or zope calls it: a method, and never in a detector or codec."""
    for node in ast.walk(source.tree):
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if not re.search("[a-z][A-Z]", child.name) or (source.module, child.name) in TWISTED_CALLS:
                continue
            if source.is_sans_io:
                yield child.lineno, f"camelCase {child.name} in a detector or codec, which Twisted never calls"
            elif not isinstance(node, ast.ClassDef):
                yield child.lineno, f"camelCase function {child.name}: only methods that Twisted or zope call are"


def test_case_name(source: Source) -> Iterator[tuple[int, str]]:
    """The first line says which tests are this file's, and they exist."""
    if source.is_package:
        return
    first = source.text.partition("\n")[0]
    found = re.fullmatch(r"# -\*- test-case-name: (tests[\w.]*(?:, ?tests[\w.]*)*) -\*-", first)
    if not found:
        yield 1, "does not begin with # -*- test-case-name: tests.x.test_y -*-"
        return
    for name in re.split(", ?", found[1]):
        path = ROOT.joinpath(*name.split("."))
        if not (path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()):
            yield 1, f"names {name}, which does not exist"


def size(source: Source) -> Iterator[tuple[int, str]]:
    """Over 300 lines wants a reason in the docstring, over 500 is split."""
    count = source.text.count("\n")
    if count > 500:
        yield 1, f"has {count} lines; over 500 is split"
    elif count > 300 and "over 300 lines:" not in (ast.get_docstring(source.tree) or "").lower():
        yield 1, f'has {count} lines, and no sentence "Over 300 lines: ..." in its docstring that says why'


RULES: tuple[Rule, ...] = (
    upward,
    unknown_floor,
    values_are_plain,
    sans_io,
    own_room,
    world,
    one_home,
    outsiders,
    camel_case,
    test_case_name,
    size,
)


def complaints(source: Source) -> list[str]:
    """Everything that is wrong with C{source}, each as C{module:line: what}."""
    return [f"{source.module}:{line}: {what}" for rule in RULES for line, what in rule(source)]


def sources() -> Iterator[Source]:
    """Every source file that is installed."""
    for path in sorted((ROOT / "lproxy").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        yield Source(".".join(parts[:-1] if is_package else parts), path.read_text(), is_package)


class HouseTests(SynchronousTestCase):
    """What is in lproxy/."""

    def test_rules(self) -> None:
        """No file breaks a rule."""
        found = [line for source in sources() for line in complaints(source)]
        if found:
            self.fail("\n".join(["", *found]))

    def test_all_seen(self) -> None:
        """The rules were held against every floor, not against an empty folder."""
        seen = {floor(source.module)[1] for source in sources()}
        self.assertEqual(set(), {"values", "stack", "transport", "discover", "protocols", "plugins", "app"} - seen)

    def test_no_reactor(self) -> None:
        """Importing all of lproxy installs no reactor, so C{--reactor} chooses freely."""
        program = (
            "import importlib, sys\n"
            "for name in sys.argv[1:]:\n"
            "    importlib.import_module(name)\n"
            "    if 'twisted.internet.reactor' in sys.modules: sys.exit(f'{name} imports the reactor')\n"
        )
        names = [source.module for source in sources() if not source.module.endswith("__main__")]
        done = subprocess.run(
            [sys.executable, "-c", program, *names], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        self.assertEqual((0, ""), (done.returncode, done.stderr))


#: a first line and a docstring that are in order
HEAD = '# -*- test-case-name: tests.test_floors -*-\n"""Doc."""\n'


class RuleTests(SynchronousTestCase):
    """The rules see what they are there to see."""

    def good(self, module: str, body: str, is_package: bool = False) -> None:
        """C{body} in C{module} breaks no rule."""
        self.assertEqual([], complaints(Source(module, HEAD + body, is_package)))

    def bad(self, module: str, body: str, *what: str, is_package: bool = False) -> None:
        """C{body} in C{module} is refused, on its last line, for each of C{what} and nothing else."""
        found = complaints(Source(module, HEAD + body, is_package))
        line = (HEAD + body).rstrip("\n").count("\n") + 1
        self.assertEqual([f"{module}:{line}: {w}" for w in what], found)

    def test_downward(self) -> None:
        """What the design shows is allowed."""
        self.good("lproxy.target", "import dataclasses\nfrom lproxy.errors import ProxyError\n")
        self.good("lproxy.interfaces", "from zope.interface import Interface\n")
        self.good("lproxy.stack.lock", "from twisted.internet.defer import Deferred\nfrom lproxy.stack import x\n")
        self.good("lproxy.transport.peek", "import socket\nfrom lproxy.discover import dns\n")
        self.good("lproxy.protocols.http.session", "from lproxy.protocols.http.http1 import Reader\nimport httptools\n")
        self.good("lproxy.protocols.http.detect", "from lproxy.interfaces import Match\n")
        self.good("lproxy.metrics", "import prometheus_client\nfrom lproxy.stack.observe import Counts\n")
        self.good("lproxy.plugins.http", "from lproxy.protocols.http import factory\n")
        self.good("lproxy.app.inbound", "from lproxy import metrics, plugins\nfrom lproxy.app.runtime import R\n")
        self.good("lproxy.tap", "import os\nfrom lproxy.app import service\nos.environ['X']\n")

    def test_upward(self) -> None:
        """An import of a higher floor is refused, however it is written."""
        up = "values imports lproxy.stack.lock, which is on the floor of stack"
        self.bad("lproxy.target", "import lproxy.stack.lock\n", up)
        self.bad("lproxy.target", "from lproxy.stack import lock\n", up)
        self.bad("lproxy.target", "from .stack import lock\n", up)
        self.bad("lproxy.target", "def f():\n    from lproxy.stack import lock\n", up)
        self.bad("lproxy.target", "if TYPE_CHECKING:\n    from lproxy.stack import lock\n", up)
        self.bad(
            "lproxy.stack.lock",
            "from lproxy.transport.peek import Peek\n",
            "stack imports lproxy.transport.peek.Peek, which is on the floor of transport",
        )
        self.bad(
            "lproxy.discover.dns",
            "from ..protocols import http\n",
            "discover imports lproxy.protocols.http, which is on the floor of protocols",
        )
        self.bad(
            "lproxy.app.inbound", "from lproxy import cli\n", "app imports lproxy.cli, which is on the floor of cli"
        )

    def test_relative_in_package(self) -> None:
        """A relative import in an C{__init__.py} is read from the package itself."""
        self.good("lproxy.stack", "from .lock import Lock\n", is_package=True)
        self.bad(
            "lproxy.stack",
            "from ..app import inbound\n",
            "stack imports lproxy.app.inbound, which is on the floor of app",
            is_package=True,
        )

    def test_app_alone(self) -> None:
        """Metrics and plugins are imported by the assembly and nobody below it, testing by nobody."""
        for floor_name in ("metrics", "plugins", "testing"):
            for module in ("lproxy.protocols.http.session", "lproxy.transport.listen"):
                found = complaints(Source(module, HEAD + f"from lproxy import {floor_name}\n"))
                self.assertIn(f"lproxy.{floor_name} is imported by app alone", "\n".join(found))
        self.bad(
            "lproxy.app.service",
            "import lproxy.testing\n",
            "lproxy.testing is for tests and plugin authors; lproxy itself does not import it",
        )
        self.assertIn(
            "which is on the floor of", complaints(Source("lproxy.metrics", HEAD + "import lproxy.plugins"))[0]
        )

    def test_no_floor(self) -> None:
        """A new module at the top has to be given its floor."""
        found = complaints(Source("lproxy.util", HEAD))
        self.assertIn("lproxy.util is on no floor", "\n".join(found))

    def test_values(self) -> None:
        """A value needs nothing installed."""
        message = "a value imports twisted.python.failure; values are Python's own library alone"
        self.bad("lproxy.config", "import twisted.python.failure\n", message)
        self.bad("lproxy.interfaces", "import twisted.python.failure\n", message)

    def test_sans_io(self) -> None:
        """Detectors, codecs and layers have no way to the network or to a clock of their own."""
        tail = "; it takes bytes and gives answers, and nothing else"
        for module in ("lproxy.protocols.http.detect", "lproxy.protocols.http.http1", "lproxy.protocols.kafka.frame"):
            for name in ("time", "twisted.internet.defer", "lproxy.transport.relay", "lproxy.stack.lock"):
                self.bad(module, f"import {name}\n", f"a detector or codec imports {name}{tail}")
        self.bad("lproxy.stack.timeout", "import time\n", "the stack imports time; its clock is an argument")
        self.bad(
            "lproxy.stack.timeout",
            "from twisted.internet import endpoints\n",
            "the stack imports twisted.internet.endpoints; "
            "of twisted.internet it may use defer, task, interfaces, error",
        )

    def test_rooms(self) -> None:
        """HTTP does not know Kafka."""
        self.bad(
            "lproxy.protocols.http.session",
            "from lproxy.protocols.tcp import factory\n",
            "the protocol http imports lproxy.protocols.tcp.factory",
        )
        self.good("lproxy.protocols.http.factory", "from lproxy.protocols.runtime import Runtime\n")
        self.bad(
            "lproxy.protocols.runtime",
            "from lproxy.protocols.http import factory\n",
            "lproxy.protocols.runtime is common to all protocols, but imports lproxy.protocols.http.factory",
        )

    def test_world(self) -> None:
        """The reactor and the environment come in at the top alone."""
        reactor = "imports the reactor; only tap and cli do, the others are handed it"
        for text in ("from twisted.internet import reactor", "import twisted.internet.reactor"):
            self.bad("lproxy.app.service", f"def f():\n    {text}\n", reactor)
            self.good("lproxy.cli", f"def f():\n    {text}\n")
        message = "reads os.environ; only tap and cli read the environment"
        self.bad("lproxy.app.service", "import os\nx = os.environ.get('X')\n", message)
        self.bad(
            "lproxy.config",
            "from os import getenv\n",
            "imports os.getenv; only tap and cli read the environment",
        )

    def test_one_home(self) -> None:
        """Sockets, OpenSSL, Prometheus and llhttp each have one place."""
        for name in ("socket", "OpenSSL.SSL", "select", "twisted.internet.tcp", "ssl"):
            self.bad(
                "lproxy.app.admin", f"import {name}\n", f"imports {name}; only transport touches sockets and OpenSSL"
            )
            self.good("lproxy.transport.listen", f"import {name}\n")
        self.bad("lproxy.app.admin", "import prometheus_client\n", "imports prometheus_client; only metrics does")
        self.bad("lproxy.protocols.tcp.x", "import httptools\n", "imports httptools; only the HTTP room does")

    def test_outsiders(self) -> None:
        """lproxy runs where neither tests nor benchmark are."""
        self.bad("lproxy.app.demo", "from tests import helper\n", "lproxy imports tests.helper")
        self.bad("lproxy.app.demo", "import benchmark\n", "lproxy imports benchmark")

    def test_camel_case(self) -> None:
        """A camelCase name is a promise that Twisted calls it."""
        self.good("lproxy.app.x", "class A:\n    def dataReceived(self, data): pass\n    def __init__(self): pass\n")
        self.good("lproxy.tap", "def makeService(options): pass\n")
        self.bad(
            "lproxy.app.x",
            "def makeService(options): pass\n",
            "camelCase function makeService: only methods that Twisted or zope call are",
        )
        self.bad(
            "lproxy.app.x",
            "class A:\n  def f(self):\n    async def onDone(): pass\n",
            "camelCase function onDone: only methods that Twisted or zope call are",
        )
        self.bad(
            "lproxy.protocols.http.http1",
            "class A:\n    def dataReceived(self): pass\n",
            "camelCase dataReceived in a detector or codec, which Twisted never calls",
        )

    def test_test_case_name(self) -> None:
        """A file leads to its tests, and a name that leads nowhere is refused."""
        module = "lproxy.app.x"
        wrong = f"{module}:1: does not begin with # -*- test-case-name: tests.x.test_y -*-"
        for text in ("", '"""Doc."""\n', "\n" + HEAD, "# -*- test-case-name: lproxy.tests -*-\n"):
            self.assertEqual([wrong], complaints(Source(module, text)))
        self.assertEqual(
            [f"{module}:1: names tests.test_nothing, which does not exist"],
            complaints(Source(module, "# -*- test-case-name: tests.test_floors, tests.test_nothing -*-\n")),
        )
        self.assertEqual([], complaints(Source("lproxy.app", "", is_package=True)))

    def test_size(self) -> None:
        """A long file explains itself, a very long one is split."""
        module = "lproxy.app.x"
        reason = HEAD.replace("Doc.", "Doc.\n\nOver 300 lines: the table belongs to its rows.\n")
        self.assertEqual([], complaints(Source(module, HEAD + "x = 1\n" * 298)))
        self.assertIn("has 301 lines, and no sentence", complaints(Source(module, HEAD + "x = 1\n" * 299))[0])
        self.assertEqual([], complaints(Source(module, reason + "x = 1\n" * 299)))
        self.assertIn("over 500 is split", complaints(Source(module, reason + "x = 1\n" * 499))[0])
