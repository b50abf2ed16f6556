# -*- test-case-name: tests.sidecar.test_manifest -*-
"""
Where pods are in a manifest of Kubernetes: a text of YAML or JSON, of one document or several.

What cannot be understood is told with the line, the document and the path in it. What has no pods is none of our
business, however little we know of it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import yaml
from yaml.nodes import MappingNode, Node, SequenceNode

from lproxy.sidecar.dialect import Loader

T = TypeVar("T")

#: groups of the API whose kinds are meant, not somebody else's of the same name; the first is that of C{v1}
GROUPS = ("", "apps", "batch", "extensions")
#: kinds of Kubernetes that make pods, and where in them what a pod is made by
TEMPLATES: dict[str, tuple[str, ...]] = {
    "Pod": (),
    "PodTemplate": ("template",),
    **dict.fromkeys(
        ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job"), ("spec", "template")
    ),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
#: of which pods are to end by themselves
JOBS = ("Job", "CronJob")

#: values that a document may come to, aliases followed: more is a trap ("billion laughs"), and no manifest
MOST_VALUES = 1_000_000
#: how deep they may be within each other
DEEPEST = 100

TOO_DEEP = f"values are more than {DEEPEST} deep within each other"

#: braces are flow mappings to YAML, and few of a template's are good ones
TEMPLATE = "; a template is to be rendered first: helm template CHART | lproxy inject -"

NAMES = {dict: "a mapping", list: "a list", str: "a string", type(None): "nothing", bool: "true or false"}

Path = tuple[str | int, ...]


class Unreadable(Exception):
    """
    A manifest is not what it would have to be.

    @ivar path: where in its document
    @ivar of: the object that this is about, where one was found
    """

    def __init__(self, what: str, path: Path = (), of: str = "") -> None:
        super().__init__(what)
        self.path, self.of = path, of


@dataclass
class Document:
    """
    One document of a manifest.

    @ivar number: from 1, as people count; empty ones count
    @ivar node: as it is written
    @ivar old: what it says
    @ivar new: what it is to say: a copy, to be changed
    """

    number: int
    node: Node
    old: Any
    new: Any


@dataclass(frozen=True)
class Pods:
    """
    What one object of Kubernetes makes pods by.

    @ivar kind: of the object, such as C{Deployment}
    @ivar name: what it is called, or nothing
    @ivar path: where the template is: what has C{metadata} and C{spec}
    @ivar template: that, in the copy that is to be changed
    @ivar own: the annotations of the object itself
    """

    kind: str
    name: str
    path: Path
    template: dict[str, Any]
    own: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}" if self.name else f"a {self.kind}"


def documents(text: str) -> list[Document]:
    """All documents of C{text} that are not empty; raises L{Unreadable}, which names line and document."""
    found: list[Document] = []
    number = 1
    try:
        loader = Loader(text)
        while loader.check_node():
            node = loader.get_node()
            if node is not None:
                bounded(node)
            value = loader.construct_document(node)
            if node is not None and value is not None:
                found.append(Document(number, node, value, copy.deepcopy(value)))
            number += 1
    except yaml.MarkedYAMLError as e:
        mark = e.problem_mark or e.context_mark
        line = f"line {mark.line + 1}: " if mark is not None else ""
        hint = TEMPLATE if "{{" in text else ""
        raise Unreadable(f"{line}document {number}: {e.problem or e.context}{hint}") from e
    except yaml.YAMLError as e:
        raise Unreadable(f"document {number}: {' '.join(str(e).split())}") from e
    except RecursionError as e:
        raise Unreadable(f"document {number}: {TOO_DEEP}") from e
    except ValueError as e:
        raise Unreadable(f"document {number}: {e}") from e
    return found


def bounded(root: Node) -> None:
    """Refuse what is within itself, or comes to more than anybody writes; and keys that are there twice."""
    sizes: dict[int, int] = {}

    def size(node: Node, depth: int) -> int:
        if depth > DEEPEST:
            raise ValueError(TOO_DEEP)
        known = sizes.get(id(node))
        if known is not None:
            if not known:
                raise ValueError("an alias that is within itself")
            return known
        sizes[id(node)] = 0
        total = 1
        if isinstance(node, MappingNode):
            keys: set[str] = set()
            for key, value in node.value:
                if isinstance(key.value, str) and key.value != "<<" and key.value in keys:
                    raise yaml.composer.ComposerError(None, None, f"the key {key.value} is there twice", key.start_mark)
                keys.add(key.value if isinstance(key.value, str) else "")
                total += size(key, depth + 1) + size(value, depth + 1)
        elif isinstance(node, SequenceNode):
            total += sum(size(one, depth + 1) for one in node.value)
        if total > MOST_VALUES:
            raise ValueError(f"more than {MOST_VALUES:,} values")
        sizes[id(node)] = total
        return total

    size(root, 0)


def pods(document: Any, path: Path = (), of: str | None = None) -> Iterator[Pods]:
    """
    What C{document}, or what it lists, makes pods by; raises L{Unreadable}.

    @param of: its kind where it does not say: what is in a C{PodList} is a C{Pod}
    """
    value = expect(document, dict, path)
    kind = expect(value.get("kind", of), str, (*path, "kind"))
    if kind.endswith("List") and "items" in value:
        for place, item in enumerate(expect(value["items"] or [], list, (*path, "items"))):
            yield from pods(item, (*path, "items", place), kind.removesuffix("List") or None)
        return
    where = TEMPLATES.get(kind)
    group, slash, _ = expect(value.get("apiVersion", "v1"), str, (*path, "apiVersion")).partition("/")
    if where is None or (group if slash else "") not in GROUPS:
        return
    metadata = expect(value.get("metadata") or {}, dict, (*path, "metadata"))
    name = metadata.get("name") or metadata.get("generateName") or ""
    own = expect(metadata.get("annotations") or {}, dict, (*path, "metadata", "annotations"))
    template, at = value, path
    for key in where:
        at = (*at, key)
        template = expect(template.get(key), dict, at)
    yield Pods(kind, str(name), at, template, own)


def expect(value: Any, kind: type[T], path: Path) -> T:
    """C{value}, which has to be of C{kind}; raises L{Unreadable}."""
    if not isinstance(value, kind):
        found = NAMES.get(type(value), "a number")
        raise Unreadable(f"expected {NAMES[kind]}, found {found}", path)
    return value


def shown(path: Path) -> str:
    """C{spec.containers[0].name}"""
    said = ""
    for part in path:
        said += f"[{part}]" if isinstance(part, int) else f".{part}" if said else part
    return said


def line(node: Node, path: Path) -> int:
    """The line, from 1, of what is at C{path}, or of the nearest above it that there is."""
    for part in path:
        below: Node | None = None
        if isinstance(node, MappingNode):
            below = next((value for key, value in node.value if key.value == part), None)
        elif isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
            below = node.value[part]
        if below is None:
            break
        node = below
    return int(node.start_mark.line) + 1
