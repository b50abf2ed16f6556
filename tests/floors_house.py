# -*- test-case-name: tests.test_floors -*-
"""
The rules that need all source files at once: import circles, attributes of ours that are looked up by name, the front
door, and whether tests mirror the tree.

A rule yields what is wrong, in words.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from tests.floors_source import Source, floor, room, under

#: files that no test file has the name of, and why
ELSEWHERE = {
    "lproxy.app.demo": "a program, for tests.integration",
    "lproxy.app.demo_grpc": "a program, for tests.integration",
    "lproxy.app.demo_identity": "a program, for tests.integration",
    "lproxy.app.parts": "a value without behaviour",
    "lproxy.plugins.lproxy_http": "one line, which its protocol's test_plugin imports",
    "lproxy.plugins.lproxy_kafka": "one line, which its protocol's test_plugin imports",
    "lproxy.plugins.lproxy_tcp": "one line, which its protocol's test_plugin imports",
    "lproxy.protocols.http.client": "a shape, which the tests of each server hold it to",
    "lproxy.protocols.http.phase": "names of states, which the exchange's tests pass through",
    "lproxy.stack.interfaces": "shapes, which all the stack's tests hold it to",
    "lproxy.supervise.world": "shapes, which the supervisor's tests hold it to",
    "lproxy.transport.splice": "half of the relay, and tested with it",
    "lproxy.transport.stream": "shapes, which the tests of each stream hold it to",
}

#: what looks an attribute up by its name
LOOKUPS = ("getattr", "hasattr", "setattr", "delattr")


def edges(sources: Sequence[Source]) -> dict[str, set[str]]:
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


def components(graph: dict[str, set[str]]) -> set[frozenset[str]]:
    """The sets of modules in which each imports every other, directly or by way of others."""

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


def circles(sources: Sequence[Source]) -> Iterator[str]:
    """No modules import each other, by way of whatever others, wherever the imports stand."""
    for circle in sorted(map(sorted, components(edges(sources)))):
        yield f"these import each other, in a circle: {', '.join(circle)}"


def attributes(sources: Sequence[Source]) -> set[str]:
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


def looked_up(source: Source) -> Iterator[tuple[int, str]]:
    """Line and name of each attribute that is looked up by a string, but on a module of somebody else's."""
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
            if isinstance(name, ast.Constant):
                yield node.lineno, name.value


def lookups(sources: Sequence[Source]) -> Iterator[str]:
    """What somebody needs of an object of ours stands in an interface, and is not asked for by its name."""
    ours = attributes(sources)
    for source in sources:
        for line, name in looked_up(source):
            if name in ours:
                yield f"{source.module}:{line}: looks up {name!r} by name; what somebody needs stands in an interface"


def back_doors(sources: Sequence[Source]) -> Iterator[str]:
    """
    What L{lproxy.api} shows, a protocol takes from there.

    Values have no door: everybody imports them from their own modules, detectors and codecs above all.
    """
    shown = {name for source in sources if source.module == "lproxy.api" for _, name in source.imports}
    for source in sources:
        if floor(source.module)[1] != "protocols" or source.is_sans_io:
            continue
        for line, name in source.imports:
            if name in shown and floor(name)[0] > 0 and room(name) != source.room:
                yield f"{source.module}:{line}: imports {name} by the back door; lproxy.api has it"


def without_tests(sources: Sequence[Source]) -> Iterator[str]:
    """The first line of a file names the tests of its own path and name: C{tests.x.test_y} those of C{lproxy.x.y}."""
    for source in sources:
        *folders, name = source.module.split(".")[1:] or [""]
        own = ".".join(["tests", *folders, f"test_{name.strip('_')}"])
        first = source.text.partition("\n")[0]
        if not source.is_package and source.module not in ELSEWHERE and own not in re.findall(r"[\w.]+", first):
            yield f"{source.module}: its tests are not {own}"


HOUSE_RULES = (circles, lookups, back_doors, without_tests)


def complaints_of_all(sources: Sequence[Source]) -> list[str]:
    """Everything that is wrong with C{sources} together."""
    return [line for rule in HOUSE_RULES for line in rule(sources)]
