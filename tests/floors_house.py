# -*- test-case-name: tests.test_floors -*-
"""
The rules that need all source files at once: import circles, attributes of ours that are looked up by name, and whether
tests mirror the tree.

What is still in the way stands in L{KNOWN_CIRCLES} and L{KNOWN_LOOKUPS}. The lists shrink: an entry that is no longer
needed is a complaint as well.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from tests.floors_source import Source, floor, room, under

#: the modules of each circle
KNOWN_CIRCLES: frozenset[frozenset[str]] = frozenset()

#: module and attribute
KNOWN_LOOKUPS: frozenset[tuple[str, str]] = frozenset()

#: files that no test file has the name of, and why
ELSEWHERE = {
    "lproxy.app.demo": "a program, for tests.integration",
    "lproxy.app.inbound": "nothing of its own yet",
    "lproxy.app.parts": "a value without behaviour",
    "lproxy.plugins.lproxy_http": "one line, which its protocol's test_plugin imports",
    "lproxy.plugins.lproxy_kafka": "one line, which its protocol's test_plugin imports",
    "lproxy.plugins.lproxy_tcp": "one line, which its protocol's test_plugin imports",
    "lproxy.stack.interfaces": "shapes, which all the stack's tests hold it to",
    "lproxy.transport.splice": "half of the relay, and tested with it",
    "lproxy.transport.stream": "shapes, which the tests of each stream hold it to",
}

LOOKUPS = ("getattr", "hasattr", "setattr", "delattr")


def edges(sources: Iterable[Source]) -> dict[str, set[str]]:
    """Which modules each module imports, wherever the import stands, under C{TYPE_CHECKING} too."""
    by_name = {source.module: source for source in sources}

    def module_of(name: str) -> str:
        while name and name not in by_name:
            name = name.rpartition(".")[0]
        return name

    return {
        module: {module_of(name) for _, name in source.imports if under(name, "lproxy")} - {"", module}
        for module, source in by_name.items()
    }


def circles(sources: Iterable[Source]) -> set[frozenset[str]]:
    """The sets of modules in which each imports every other, directly or by way of others."""
    graph = edges(sources)

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        ahead = [start]
        while ahead:
            new = graph[ahead.pop()] - seen
            seen |= new
            ahead.extend(new)
        return seen

    within = {module: reached(module) for module in graph}
    return {
        frozenset(other for other in seen if module in within[other])
        for module, seen in within.items()
        if module in seen
    }


def attributes(sources: Iterable[Source]) -> set[str]:
    """The names of everything that a class of ours has, or that a method of it sets on C{self}."""
    found: set[str] = set()
    for source in sources:
        for node in source.nodes:
            if isinstance(node, ast.ClassDef):
                for child in node.body:
                    if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                        found.add(child.name)
                    elif isinstance(child, ast.Assign | ast.AnnAssign):
                        targets = child.targets if isinstance(child, ast.Assign) else [child.target]
                        found.update(target.id for target in targets if isinstance(target, ast.Name))
            elif (
                isinstance(node, ast.Attribute)
                and isinstance(node.ctx, ast.Store)
                and isinstance(node.value, ast.Name)
                and node.value.id == "self"
            ):
                found.add(node.attr)
    return {name for name in found if not name.startswith("__")}


def lookups(source: Source, ours: set[str]) -> Iterator[tuple[int, str]]:
    """Line and name of each attribute of ours that is looked up by a string, but on a module of somebody else's."""
    foreign = {
        alias.asname or alias.name.split(".")[0]
        for node in source.nodes
        if isinstance(node, ast.Import)
        for alias in node.names
        if not under(alias.name, "lproxy")
    }
    for node in source.nodes:
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in LOOKUPS):
            continue
        holder, *names = node.args[:2]
        if isinstance(holder, ast.Name) and holder.id in foreign:
            continue
        for name in names:
            if isinstance(name, ast.Constant) and name.value in ours:
                yield node.lineno, name.value


def back_doors(sources: Iterable[Source]) -> Iterator[str]:
    """
    Imports by a protocol of what L{lproxy.api} shows, from where it really stands.

    Values have no door: everybody imports them from their own modules, detectors and codecs above all.
    """
    sources = list(sources)
    shown = {name for source in sources if source.module == "lproxy.api" for _, name in source.imports}
    for source in sources:
        if floor(source.module)[1] != "protocols" or source.is_sans_io:
            continue
        for line, name in source.imports:
            if name in shown and floor(name)[0] > 0 and room(name) != source.room:
                yield f"{source.module}:{line}: imports {name} by the back door; lproxy.api has it"


def complaints_of_all(
    sources: Iterable[Source],
    known_circles: frozenset[frozenset[str]] = KNOWN_CIRCLES,
    known_lookups: frozenset[tuple[str, str]] = KNOWN_LOOKUPS,
) -> Iterator[str]:
    """Circles and lookups that are not among the known ones, and known ones that are no longer there."""
    sources = list(sources)
    found = circles(sources)
    for circle in sorted(map(sorted, found - known_circles)):
        yield f"these import each other, in a circle: {', '.join(circle)}"
    for circle in sorted(map(sorted, known_circles - found)):
        yield f"no longer a circle, to be taken out of KNOWN_CIRCLES: {', '.join(circle)}"
    ours = attributes(sources)
    seen = set()
    for source in sources:
        for line, name in lookups(source, ours):
            seen.add((source.module, name))
            if (source.module, name) not in known_lookups:
                yield f"{source.module}:{line}: looks up {name!r} by name; what somebody needs stands in an interface"
    for module, name in sorted(known_lookups - seen):
        yield f"{module} no longer looks up {name!r}, to be taken out of KNOWN_LOOKUPS"


def without_tests(sources: Iterable[Source]) -> Iterator[str]:
    """Files of which the first line does not name the tests of their own path and name: C{tests.x.test_y} of C{x.y}."""
    for source in sources:
        *folders, name = source.module.split(".")[1:] or [""]
        own = ".".join(["tests", *folders, f"test_{name.strip('_')}"])
        first = source.text.partition("\n")[0]
        if not source.is_package and source.module not in ELSEWHERE and own not in re.findall(r"[\w.]+", first):
            yield f"{source.module}: its tests are not {own}"
