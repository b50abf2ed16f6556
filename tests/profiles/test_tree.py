# -*- test-case-name: tests.profiles.test_tree -*-
"""
YAML as a tree.
"""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import yaml
from twisted.trial.unittest import SynchronousTestCase

from lproxy.profiles import tree
from lproxy.profiles.tree import BREATH, BadYaml, Mapping, Node, Scalar, documents


def plain(node: Node | None) -> Any:
    """C{node} as Python's own, each scalar with its line."""
    if isinstance(node, Scalar):
        return node.text, node.plain, node.line
    if isinstance(node, Mapping):
        return {name: plain(one) for name, one in node.items.items()}
    assert node is not None
    return [plain(one) for one in node.items]


class TreeTests(SynchronousTestCase):
    def refused(self, text: str, wrong: str, line: int | None = None) -> BadYaml:
        error = self.assertRaises(BadYaml, list, documents(text))
        self.assertIn(wrong, error.wrong)
        self.assertEqual(line, error.line)
        return error

    def test_documents(self) -> None:
        """Documents with something in them, one after the other; each value knows its line."""
        found = list(documents("---\na: 1\n---\n---\n# nothing\n---\n- b\n- {c: 'd'}\n...\n"))
        self.assertEqual(
            [{"a": ("1", True, 2)}, [("b", True, 7), {"c": ("d", False, 8)}]], [plain(one) for one in found]
        )

    def test_in_between(self) -> None:
        """Within a document, however long, there is time for others now and then."""
        for line in ("- {{a: {}}}\n", "a{}: 1\n", "- - {}\n"):
            *between, node = documents("".join(line.format(n) for n in range(BREATH)))
            self.assertEqual({None}, set(between), line)
            self.assertEqual(BREATH, len(plain(node)))

    def test_text_or_not(self) -> None:
        """What stands in quotes, or in a block, or is said to be a text, is one; else it may be a number."""
        for text, is_plain in (("1", True), ('"1"', False), ("'1'", False), ("!!str 1", False), ("|\n  1", False)):
            (found,) = documents(f"a: {text}")
            assert isinstance(found, Mapping) and isinstance(found.items["a"], Scalar)
            self.assertEqual(is_plain, found.items["a"].plain, text)

    def test_refused(self) -> None:
        """What bombs are made of, and what nobody needs, is refused where it stands."""
        self.refused("a: &b 1", "&b: anchors are not read", 1)
        self.refused("a: 1\nb: *c", "*c: aliases are not read", 2)
        self.refused("a: 1\nb: 2\na: 3", "the key a is given twice, first in line 1", 3)
        self.refused("a: !!python/object/apply:os.system [x]", "the tag tag:yaml.org,2002:python/object", 1)
        self.refused("a: !mine 1", "the tag !mine is not read", 1)
        self.refused("? [a]\n: b", "a key is no text", 1)
        self.refused("[" * 100_000, "is nested more than 40 deep", 1)
        self.refused("{a: " * 100_000, "is nested more than 40 deep", 1)
        with patch.object(tree, "MAX_DOCUMENTS", 3):
            self.refused("---\n---\n---\n---\n", "has more than 3 documents", 4)
        with patch.object(tree, "MAX_NODES", 10):
            self.refused("- a\n" * 11, "has more than 10 values", 10)

    def test_bomb(self) -> None:
        """A billion laughs are not begun with: this test would not end."""
        lines = ["a0: &a0 [lol, lol]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
        self.refused("\n".join(lines), "&a0: anchors are not read", 1)

    def test_no_yaml(self) -> None:
        """What is no YAML is refused with its line."""
        self.assertEqual("indent by blanks, not tabs", self.refused("a:\n\t- b", "not valid YAML", 2).right)
        self.refused("a: b: c", "mapping values are not allowed", 1)
        self.refused('a: "b', "not valid YAML", 1)
        self.refused("a: \0", "not valid YAML")

    def test_without_libyaml(self) -> None:
        """Where PyYAML was built without libyaml, its own parser does the same."""
        with patch.object(yaml, "__with_libyaml__", False):
            self.test_documents()
            self.refused("a: *b", "aliases are not read", 1)
            self.refused("a:\n\t- b", "not valid YAML", 2)
            self.refused("a: \0", "not valid YAML")
            self.refused("[" * 5_000, "is nested more than 40 deep", 1)
