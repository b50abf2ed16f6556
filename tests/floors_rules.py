# -*- test-case-name: tests.test_floors -*-
"""
The rules that one source file keeps or breaks by itself, one function each.

A rule yields the line and the words of each thing that is wrong.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator

from tests.floors_source import FLOORS, ROOT, VALUES, Source, floor, room, under

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

#: who may know of OpenSSL without having a socket
CERTIFICATES = ("lproxy.identity", "lproxy.testing.certificates")

#: what the stack may know of the reactor's world: shapes and Deferreds, and a clock that is handed in
STACK_MAY = ("defer", "task", "interfaces", "error")

#: three floors side by side, which know nothing of each other, and who imports them
BESIDE = ("metrics", "plugins", "testing")
ASSEMBLY = ("admin", "app", "tap", "cli")

#: functions outside a class that Twisted calls by name
TWISTED_CALLS = {("lproxy.tap", "makeService")}

#: what has been given a floor
FLOORED = (*(f"lproxy.{name}" for name in VALUES), *(name for name in FLOORS if name != "lproxy"))

#: who warns of failures, and who stands between them and the log
WARN = ("lproxy.app", "lproxy.protocols")
REMEMBERS = "lproxy.app.recent"

Rule = Callable[[Source], Iterator[tuple[int, str]]]


def upward(source: Source) -> Iterator[tuple[int, str]]:
    """A floor imports lower ones and its own."""
    own, own_name = floor(source.module)
    for line, name in source.imports:
        if not under(name, "lproxy"):
            continue
        theirs, their_name = floor(name)
        if theirs > own or (their_name in BESIDE and own_name in BESIDE and their_name != own_name):
            yield line, f"{own_name} imports {name}, which is on the floor of {their_name}"
        if their_name in BESIDE and own_name not in (their_name, *ASSEMBLY):
            yield line, f"{name} is imported by app alone, not by {own_name}"
        if their_name == "testing" and own_name != "testing":
            yield line, f"{name} is for tests and plugin authors; lproxy itself does not import it"


def unknown_floor(source: Source) -> Iterator[tuple[int, str]]:
    """Every module of lproxy is on a floor."""
    if floor(source.module)[1] == "values" and source.module != "lproxy" and not under(source.module, *FLOORED):
        yield 1, f"{source.module} is on no floor: move it into a folder, or give it one in tests/floors_source.py"


def values_are_plain(source: Source) -> Iterator[tuple[int, str]]:
    """Values need nothing but Python's own library."""
    if floor(source.module)[1] == "values":
        for line, name in source.imports:
            if name.split(".")[0] not in ("lproxy", *sys.stdlib_module_names):
                yield line, f"a value imports {name}; values are Python's own library alone"


def light(source: Source) -> Iterator[tuple[int, str]]:
    """The supervisor's process is small: it has Python's own library, and nothing else of lproxy."""
    if under(source.module, "lproxy.supervise"):
        for line, name in source.imports:
            if not under(name, "lproxy.supervise") and name.split(".")[0] not in sys.stdlib_module_names:
                yield line, f"the supervisor imports {name}; it is Python's own library alone"


def sans_io(source: Source) -> Iterator[tuple[int, str]]:
    """Detectors and codecs know bytes alone; the stack knows Deferreds and a clock that it is given."""
    if source.is_sans_io:
        for line, name in source.imports:
            if under(name, "lproxy.transport", "lproxy.stack", "lproxy.api", "twisted.internet", "time", "asyncio"):
                yield line, f"a detector or codec imports {name}; it takes bytes and gives answers, and nothing else"
    elif under(source.module, "lproxy.stack"):
        for line, name in source.imports:
            if under(name, "time", "asyncio"):
                yield line, f"the stack imports {name}; its clock is an argument"
            if under(name, "twisted.internet") and not under(name, *(f"twisted.internet.{m}" for m in STACK_MAY)):
                yield line, f"the stack imports {name}; of twisted.internet it may use {', '.join(STACK_MAY)}"


def own_room(source: Source) -> Iterator[tuple[int, str]]:
    """One protocol never imports another, so that deleting one breaks nothing."""
    for line, name in source.imports:
        if source.room and room(name) not in ("", source.room):
            yield line, f"the protocol {source.room} imports {name}"


def world(source: Source) -> Iterator[tuple[int, str]]:
    """Only tap and cli import the reactor or read the environment."""
    if floor(source.module)[1] in ("tap", "cli"):
        return
    for line, name in source.imports:
        if under(name, "twisted.internet.reactor"):
            yield line, "imports the reactor; only tap and cli do, the others are handed it"
        if under(name, "os.environ", "os.environb", "os.getenv", "os.getenvb"):
            yield line, f"imports {name}; only tap and cli read the environment"
    for node in source.nodes:
        if (
            isinstance(node, ast.Attribute)
            and node.attr in ("environ", "environb", "getenv", "getenvb")
            and isinstance(node.value, ast.Name)
            and node.value.id == "os"
        ):
            yield node.lineno, f"reads os.{node.attr}; only tap and cli read the environment"


def one_home(source: Source) -> Iterator[tuple[int, str]]:
    """
    Sockets and OpenSSL in transport, prometheus_client in metrics, httptools in the HTTP room.

    What OpenSSL is told of certificates is made in identity; testing makes certificates that nobody should take.
    """
    for line, name in source.imports:
        if under(name, "OpenSSL", "ssl") and under(source.module, *CERTIFICATES):
            continue
        if under(name, *SOCKETS) and not under(source.module, "lproxy.transport", "lproxy.supervise"):
            yield line, f"imports {name}; only transport touches sockets and OpenSSL"
        if under(name, "prometheus_client") and not under(source.module, "lproxy.metrics"):
            yield line, f"imports {name}; only metrics does"
        if under(name, "httptools") and source.room != "http":
            yield line, f"imports {name}; only the HTTP room does"


def outsiders(source: Source) -> Iterator[tuple[int, str]]:
    """lproxy imports neither its tests nor its benchmark."""
    for line, name in source.imports:
        if under(name, "tests", "benchmark"):
            yield line, f"lproxy imports {name}"


def camel_case(source: Source) -> Iterator[tuple[int, str]]:
    """A camelCase C{def} means that Twisted or zope calls it: a method, and never in a detector or codec."""
    for node in source.nodes:
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if not re.search("[a-z][A-Z]", child.name) or (source.module, child.name) in TWISTED_CALLS:
                continue
            if source.is_sans_io:
                yield child.lineno, f"camelCase {child.name} in a detector or codec, which Twisted never calls"
            elif not isinstance(node, ast.ClassDef):
                yield child.lineno, f"camelCase function {child.name}: only methods that Twisted or zope call are"


def explained(source: Source) -> Iterator[tuple[int, str]]:
    """Whoever warns says in parts of what: C{warn(kind, text, Failed(...))}, as the admin server's page has columns."""
    if source.module == REMEMBERS or not under(source.module, *WARN):
        return
    for node in source.nodes:
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("warn", "_warn")
            and len(node.args) == 2
        ):
            yield node.lineno, "warns without a layer, a target and a cause (lproxy.errors.Failed)"


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
    light,
    sans_io,
    own_room,
    world,
    one_home,
    outsiders,
    camel_case,
    explained,
    test_case_name,
    size,
)


def complaints(source: Source) -> list[str]:
    """Everything that is wrong with C{source}, each as C{module:line: what}."""
    return [f"{source.module}:{line}: {what}" for rule in RULES for line, what in rule(source)]
