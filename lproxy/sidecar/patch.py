# -*- test-case-name: tests.sidecar.test_patch -*-
"""
Change what a text of YAML says, and leave the rest of the text as it stands: comments, order, quotes, line ends.

A YAML library reads a text into values and writes values anew; whoever keeps manifests in a repository wants to see,
as the difference, what was added. So the nodes of the old text, which know where they stand, are compared with the new
values, and only what differs is written. What was patched is read again: where it does not say what it should (there
are a great many ways to write YAML), the document is written anew as a whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import chain, pairwise
from operator import itemgetter
from typing import Any

import yaml
from yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode, SequenceNode

from lproxy.sidecar.dialect import Dumper, IndentedDumper, Reader, dump


class CannotPatch(Exception):
    """The text is written in a way that nothing can be put into at this place."""


@dataclass(frozen=True)
class Change:
    """One document of a text, C{old} as C{yaml.SafeLoader} constructs it, and what it is to say."""

    node: Node
    old: Any
    new: Any


Edit = tuple[int, int, str]


def patched(text: str, changes: Sequence[Change]) -> tuple[str, list[Change]]:
    """
    C{text} with its documents as they are to be.

    @param changes: one for each document that is not empty, in order
    @return: the text, and those whose remarks were lost
    """
    edits = [in_place(text, change) for change in changes]
    if not any(edits):
        return text, []
    result = edited(text, edits)
    anew = [change for change, said in zip(changes, edits, strict=True) if len(said) == 1 and whole(change, said[0])]
    if not says(result, changes):
        anew = [change for change, said in zip(changes, edits, strict=True) if said]
        edits = [rewritten(change) if said else [] for change, said in zip(changes, edits, strict=True)]
        result = edited(text, edits)
    if not says(result, changes):
        result, anew = "\n---\n".join(dump(change.new, Dumper) for change in changes) + "\n", list(changes)
    return result, [change for change in anew if "#" in text[change.node.start_mark.index : end_of(change.node)]]


def whole(change: Change, edit: Edit) -> bool:
    """Whether C{edit} takes the place of all that a document is."""
    return edit[:2] == (change.node.start_mark.index, end_of(change.node))


def in_place(text: str, change: Change) -> list[Edit]:
    """What a document takes to say what it is to: its lines alone, or where that cannot be, all of it."""
    if change.old == change.new:
        return []
    if isinstance(change.node, CollectionNode) and change.node.flow_style:
        return rewritten(change)
    patch = Patch(text, change.node)
    try:
        patch.change(change.node, change.old, change.new, 0)
        patch.edits.sort(key=itemgetter(0, 1))
        if any(start < end for (_, end, _), (start, _, _) in pairwise(patch.edits)):
            raise CannotPatch("changes overlap")
    except CannotPatch:
        return rewritten(change)
    return patch.edits


def rewritten(change: Change) -> list[Edit]:
    """A document anew: JSON where it was."""
    node = change.node
    if isinstance(node, CollectionNode) and node.flow_style:
        said = json.dumps(change.new, indent=2, ensure_ascii=False, default=str)
    else:
        said = dump(change.new, Dumper)
    return [(int(node.start_mark.index), end_of(node), said)]


def edited(text: str, edits: Iterable[list[Edit]]) -> str:
    """C{text} with changes that are in order, and apart."""
    parts: list[str] = []
    at = 0
    for start, end, said in chain.from_iterable(edits):
        parts += [text[at:start], said]
        at = end
    return "".join([*parts, text[at:]])


def says(text: str, changes: Sequence[Change]) -> bool:
    """Whether C{text} says what it is to."""
    try:
        said = [document for document in yaml.load_all(text, Reader) if document is not None]
    except yaml.YAMLError:
        return False
    return said == [change.new for change in changes]


def end_of(node: Node) -> int:
    """Where the last word of C{node} ends; its own mark is where the next begins, past comments and empty lines."""
    while isinstance(node, CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        node = last[1] if isinstance(node, MappingNode) else last
    return int(node.end_mark.index)


class Patch:
    """
    Changes of one document, each at its place.

    @ivar edits: what they come to
    """

    def __init__(self, text: str, root: Node) -> None:
        self._text = text
        self._line = "\r\n" if "\r\n" in text else "\n"
        self._dumper = IndentedDumper if indents(root) else Dumper
        #: where from, where to, and what stands there instead; of several at one place in their order
        self.edits: list[Edit] = []

    def change(self, node: Node, old: Any, new: Any, indent: int) -> None:
        """
        Have C{node} say C{new}.

        @param indent: of what stands below it, if it has to begin a line of its own
        """
        if old == new:
            return
        if isinstance(node, MappingNode) and isinstance(new, dict) and node.value and not node.flow_style:
            self._mapping(node, old, new)
        elif isinstance(node, SequenceNode) and isinstance(new, list) and node.value and not node.flow_style:
            self._sequence(node, old, new)
        else:
            self._replace(node, new, indent)

    def _replace(self, node: Node, new: Any, indent: int) -> None:
        start, end = int(node.start_mark.index), end_of(node)
        bare = isinstance(node, ScalarNode) or (isinstance(node, CollectionNode) and not node.value)
        if isinstance(new, dict | list) and new and bare:
            # below the key, whose colon nothing but a space may follow
            start = len(self._text[:start].rstrip(" "))
            if self._text[start - 1 : start] != ":":
                raise CannotPatch("not the value of a key")
            self.edits.append((start, end, self._line + self._block(new, indent)))
        elif isinstance(node, ScalarNode):
            self.edits.append((start, end, dump(new, self._dumper)))
        else:
            self.edits.append((start, end, json.dumps(new, ensure_ascii=False, default=str)))

    def _mapping(self, node: MappingNode, old: dict[Any, Any], new: dict[Any, Any]) -> None:
        column = node.start_mark.column
        values = {key.value: value for key, value in node.value}
        keys = {key.value: key for key, value in node.value}
        if set(old) != set(values):
            raise CannotPatch("keys that are no strings, or that are merged into it")
        for key in old.keys() - new.keys():
            self._remove(keys[key].start_mark.index, end_of(values[key]))
        at: int | None = None
        for key, value in new.items():
            if key in values:
                # under a list that is not indented, nothing is
                self.change(values[key], old[key], value, column + 2)
                at = end_of(values[key])
            elif at is None:
                self._first(int(node.start_mark.index), {key: value}, column)
            else:
                self._after(at, self._block({key: value}, column))

    def _sequence(self, node: SequenceNode, old: list[Any], new: list[Any]) -> None:
        column = node.start_mark.column
        items = node.value
        matcher = SequenceMatcher(None, [known_by(one) for one in old], [known_by(one) for one in new], False)
        for _, i, i_end, j, j_end in matcher.get_opcodes():
            if i_end - i == j_end - j:
                # the same, in what tells them apart, or one changed into one
                for place, value in zip(range(i, i_end), new[j:j_end], strict=True):
                    self.change(items[place], old[place], value, column + 2)
                continue
            for place in range(i, i_end):
                self._remove(self._dash(items[place], column), end_of(items[place]))
            if j < j_end:
                said = self._block(new[j:j_end], column)
                if i:
                    self._after(end_of(items[i - 1]), said)
                else:
                    at = self._above(self._dash(items[0], column))
                    self.edits.append((at, at, said + self._line))

    def _block(self, value: Any, column: int) -> str:
        """C{value}, whose lines begin at C{column}."""
        lines = dump(value, self._dumper).split("\n")
        return self._line.join(" " * column + line if line else line for line in lines)

    def _first(self, start: int, value: dict[Any, Any], column: int) -> None:
        """Before the key that begins at C{start}."""
        said = self._block(value, column) + self._line
        if self._text[self._text.rfind("\n", 0, start) + 1 : start].strip():
            # behind the dash of a list
            self.edits.append((start, start, said[column:] + " " * column))
        else:
            at = self._above(start)
            self.edits.append((at, at, said))

    def _after(self, at: int, said: str) -> None:
        """A new line after the one in which something ends C{at}, and after what is remarked on it."""
        at = self._line_end(at)
        self.edits.append((at, at, self._line + said))

    def _remove(self, start: int, end: int) -> None:
        """Whole lines."""
        first = self._text.rfind("\n", 0, start) + 1
        if self._text[first:start].strip():
            raise CannotPatch("something else begins on its line")
        last = self._line_end(end)
        self.edits.append((first, min(last + len(self._line), len(self._text)), ""))

    def _line_end(self, at: int) -> int:
        """Where the line ends in which, C{at}, something ends; a block scalar ends with its last line."""
        while self._text[at - 1 : at] in ("\n", "\r"):
            at -= 1
        match = re.compile(r"[ \t]*(?:#[^\r\n]*)?(?=\r?\n|\Z)").match(self._text, at)
        if match is None:
            raise CannotPatch("something else follows on its line")
        return match.end()

    def _dash(self, item: Node, column: int) -> int:
        """Where the element of a list begins, with its dash."""
        at = self._text.rfind("-", 0, int(item.start_mark.index))
        if at < 0 or at - (self._text.rfind("\n", 0, at) + 1) != column:
            raise CannotPatch("no dash of its own")
        return at

    def _above(self, at: int) -> int:
        """The beginning of its line, or of the remarks above it."""
        at = self._text.rfind("\n", 0, at) + 1
        while at:
            above = self._text.rfind("\n", 0, at - 1) + 1
            if not self._text[above:at].lstrip().startswith("#"):
                break
            at = above
        return at


def known_by(element: Any) -> str:
    """What tells an element of a list from the others: its name, as Kubernetes has it, or all of it."""
    name = element.get("name") if isinstance(element, dict) else None
    return f"name {name}" if isinstance(name, str) else repr(element)


def indents(root: Node) -> bool:
    """Whether the lists of a document are indented below their keys, by the first of them."""
    for key, value in keys_of(root):
        if isinstance(value, SequenceNode) and not value.flow_style:
            return bool(value.start_mark.column > key.start_mark.column)
    return False


def keys_of(node: Node) -> Iterator[tuple[Node, Node]]:
    """All keys of a document with their values, from the top."""
    if isinstance(node, MappingNode):
        for key, value in node.value:
            yield key, value
            yield from keys_of(value)
    elif isinstance(node, SequenceNode):
        for one in node.value:
            yield from keys_of(one)
