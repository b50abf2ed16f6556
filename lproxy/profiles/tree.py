# -*- test-case-name: tests.profiles.test_tree -*-
"""
YAML as a tree whose every node knows its line: documents, one after the other.

Made of libyaml's events where PyYAML has been built with it. What no description of routes needs, and bombs are made
of, is refused: anchors and aliases, keys given twice, tags that construct something, nesting beyond all sense. Scalars
stay text; whoever reads them says what they are to be.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any, Final

#: levels of nodes in nodes
MAX_DEPTH: Final = 40
#: nodes of all documents together: ten thousand routes have a quarter of them
MAX_NODES: Final = 1_000_000
#: nodes between two moments for others: a millisecond's
BREATH: Final = 100
#: documents of a file
MAX_DOCUMENTS: Final = 20_000

#: tags that say what a node is anyway
_TAGS: Final = frozenset(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq"))
_STR: Final = "tag:yaml.org,2002:str"


class BadYaml(ValueError):
    """
    What is no YAML, or none that is read.

    @ivar line: where, from 1; C{None} where that cannot be told
    """

    def __init__(self, wrong: str, line: int | None = None, right: str = "") -> None:
        super().__init__(wrong)
        self.wrong = wrong
        self.line = line
        self.right = right


class Scalar:
    """
    A value alone.

    @ivar plain: whether it stands there without quotes, and so may be a number, true, or nothing
    """

    __slots__ = ("line", "plain", "text")

    def __init__(self, text: str, plain: bool, line: int) -> None:
        self.text = text
        self.plain = plain
        self.line = line


class Mapping:
    """
    Keys, each with a value.

    @ivar lines: where each key stands
    """

    __slots__ = ("items", "line", "lines")

    def __init__(self, line: int) -> None:
        self.items: dict[str, Node] = {}
        self.lines: dict[str, int] = {}
        self.line = line


class Sequence:
    """Values, one after the other."""

    __slots__ = ("items", "line")

    def __init__(self, line: int) -> None:
        self.items: list[Node] = []
        self.line = line


Node = Scalar | Mapping | Sequence


def documents(text: str) -> Iterator[Node | None]:
    """
    The documents in C{text} that have something in them; in between C{None}, now and then: there is time for others.

    @raise BadYaml: at the first thing that is wrong
    """
    # not for whoever has no such files: it takes a moment
    import yaml

    parser: Any = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
    try:
        reader = parser(text)
    except yaml.YAMLError as error:
        raise _bad(error, text) from error
    try:
        yield from _Builder(reader, yaml).documents()
    except yaml.YAMLError as error:
        raise _bad(error, text) from error
    except RecursionError as error:  # of the parser in Python
        raise BadYaml(f"is nested more than {MAX_DEPTH} deep") from error
    finally:
        reader.dispose()


def _bad(error: Any, text: str) -> BadYaml:
    """What PyYAML says of C{text}, with the line that it says it of."""
    import yaml

    if not isinstance(error, yaml.MarkedYAMLError):
        # of its reader, which counts characters and no lines
        return BadYaml(f"not valid YAML: {str(error).splitlines()[0]}")
    mark, said, context = error.problem_mark, error.problem or "cannot be read", error.context
    line = mark.line + 1 if mark is not None else None
    if "nesting depth" in said:
        return BadYaml(f"is nested more than {MAX_DEPTH} deep", line)
    tab = line is not None and text.split("\n")[line - 1].lstrip(" ").startswith("\t")
    wrong = f"not valid YAML: {said}" + (f" {context}" if context else "")
    return BadYaml(wrong, line, "indent by blanks, not tabs" if tab else "")


class _Builder:
    """From events to nodes, without recursion, which a file could make deep."""

    __slots__ = ("_count", "_event", "_yaml")

    def __init__(self, reader: Any, yaml: Any) -> None:
        self._event = reader.get_event
        self._yaml = yaml
        self._count = 0

    def documents(self) -> Iterator[Node | None]:
        yaml = self._yaml
        count = 0
        while not isinstance(event := self._event(), yaml.StreamEndEvent):
            if not isinstance(event, yaml.DocumentStartEvent):
                continue
            count += 1
            if count > MAX_DOCUMENTS:
                raise BadYaml(f"has more than {MAX_DOCUMENTS} documents", event.start_mark.line + 1)
            node = yield from self._document()
            if not (isinstance(node, Scalar) and node.plain and node.text in ("", "~", "null")):
                yield node

    def _document(self) -> Generator[None, None, Node]:
        ends = (self._yaml.SequenceEndEvent, self._yaml.MappingEndEvent)
        top = self._node(self._event(), 0)
        within: list[Mapping | Sequence] = [top] if not isinstance(top, Scalar) else []
        #: of each mapping, the key that is to have a value
        keys: list[Scalar | None] = [None]
        while within:
            if self._count % BREATH == 0:
                yield
            event = self._event()
            if type(event) in ends:
                within.pop()
                keys.pop()
                continue
            node = self._node(event, len(within))
            around, key = within[-1], keys[-1]
            if isinstance(around, Sequence):
                around.items.append(node)
            elif key is None:
                keys[-1] = self._key(around, node)
                continue
            else:
                around.items[key.text] = node
                keys[-1] = None
            if not isinstance(node, Scalar):
                within.append(node)
                keys.append(None)
        return top

    def _key(self, mapping: Mapping, node: Node) -> Scalar:
        """C{node}, if it can be a key of C{mapping}."""
        if not isinstance(node, Scalar):
            raise BadYaml("a key is no text", node.line)
        name = node.text
        if name in mapping.lines:
            raise BadYaml(f"the key {name} is given twice, first in line {mapping.lines[name]}", node.line)
        mapping.lines[name] = node.line
        return node

    def _node(self, event: Any, depth: int) -> Node:
        """What C{event} begins, so deep in others; what is in that comes by further ones."""
        yaml = self._yaml
        line: int = event.start_mark.line + 1
        kind = type(event)
        if kind is yaml.AliasEvent:
            raise BadYaml(f"*{event.anchor}: aliases are not read", line, "write what it stands for")
        if event.anchor is not None:
            raise BadYaml(f"&{event.anchor}: anchors are not read", line, "write what it stands for where it is needed")
        tag = event.tag
        if tag is not None and tag != "!" and tag not in _TAGS:
            raise BadYaml(f"the tag {tag} is not read", line, "leave it out")
        self._count += 1
        if self._count > MAX_NODES:
            raise BadYaml(f"has more than {MAX_NODES} values", line)
        if kind is yaml.ScalarEvent:
            # !!str means what quotes mean
            return Scalar(event.value, event.implicit[0] and tag != _STR, line)
        if depth >= MAX_DEPTH:
            raise BadYaml(f"is nested more than {MAX_DEPTH} deep", line)
        return Sequence(line) if kind is yaml.SequenceStartEvent else Mapping(line)
