# -*- test-case-name: tests.sidecar.test_patch -*-
"""
Tests for L{lproxy.sidecar.patch}.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from lproxy.sidecar.patch import Change, patched

TEXT = """\
# of the house
kind: Deployment   # of apps
spec:
  replicas: 2
  template:
    metadata: {labels: {app: "web"}}
    spec:
      # the application
      containers:
      # first
      - name: web
        image: 'web:1'  # pinned
        command: ["run", 'web']
      # second
      - name: log
        args:
        - |
          one
          two

# the end
"""


def change(text: str, *edits: Callable[[Any], Any]) -> tuple[str, list[Change]]:
    """C{text}, whose documents are changed one by one."""
    both = zip(yaml.compose_all(text, yaml.SafeLoader), yaml.load_all(text, yaml.SafeLoader), strict=True)
    changes = []
    for (node, old), edit in zip([one for one in both if one[1] is not None], edits, strict=True):
        new = copy.deepcopy(old)
        edit(new)
        changes.append(Change(node, old, new))
    return patched(text, changes)


def added(before: str, after: str) -> str:
    """The lines of C{after} that are not in C{before}, which has lost none."""
    lines = before.splitlines()
    new = []
    for line in after.splitlines():
        if lines and line == lines[0]:
            lines.pop(0)
        else:
            new.append(line)
    assert not lines, lines
    return "\n".join(new)


class InPlaceTests(SynchronousTestCase):
    """What does not change stands as it stood."""

    def test_nothing(self) -> None:
        """Nothing to change, nothing changed, whatever it looks like."""
        self.assertEqual((TEXT, []), change(TEXT, lambda document: None))

    def test_keys(self) -> None:
        """A new key stands after the one before it, above remarks on the next, or first."""

        def edit(document: Any) -> None:
            spec = document["spec"]["template"]["spec"]
            document["spec"]["template"]["spec"] = {"a": 1, **spec, "z": [{"name": "x"}]}

        after, lost = change(TEXT, edit)
        self.assertEqual("      a: 1\n      z:\n      - name: x", added(TEXT, after))
        self.assertIn("    spec:\n      a: 1\n      # the application\n      containers:\n", after)
        self.assertIn("          two\n      z:\n      - name: x\n\n# the end\n", after)
        self.assertEqual([], lost)

    def test_elements(self) -> None:
        """Elements of a list come before, between and after the others, with the remarks of those."""

        def edit(document: Any) -> None:
            containers = document["spec"]["template"]["spec"]["containers"]
            containers.insert(0, {"name": "first"})
            containers.insert(2, {"name": "between"})
            containers.append({"name": "last"})

        after, lost = change(TEXT, edit)
        self.assertEqual("\n".join(f"      - name: {n}" for n in ("first", "between", "last")), added(TEXT, after))
        self.assertIn("- name: first\n      # first\n      - name: web\n", after)
        self.assertIn("'web']\n      - name: between\n      # second\n", after)
        self.assertEqual([], lost)

    def test_scalars(self) -> None:
        """A value changes alone, and the remark behind it stays; a string that looks like a number stays a string."""

        def edit(document: Any) -> None:
            document["spec"]["replicas"] = 3
            document["spec"]["template"]["spec"]["containers"][0]["image"] = "2"

        after, _ = change(TEXT, edit)
        self.assertIn("  replicas: 3\n", after)
        self.assertIn("        image: '2'  # pinned\n", after)

    def test_removed(self) -> None:
        """What goes takes its lines along, and no other's."""

        def edit(document: Any) -> None:
            del document["spec"]["replicas"]
            del document["spec"]["template"]["spec"]["containers"][1]

        after, _ = change(TEXT, edit)
        gone = "  replicas: 2\n      - name: log\n        args:\n        - |\n          one\n          two"
        self.assertEqual(gone, added(after, TEXT))

    def test_flow(self) -> None:
        """What is written in braces is written anew, in braces."""

        def edit(document: Any) -> None:
            document["spec"]["template"]["metadata"]["annotations"] = {"a/b": "1"}

        after, _ = change(TEXT, edit)
        self.assertIn('    metadata: {"labels": {"app": "web"}, "annotations": {"a/b": "1"}}\n', after)

    def test_empty(self) -> None:
        """Below a key without a value, or with an empty one, comes what it has now."""
        for value in ("", " {}", " null", " ~", "   # nothing"):
            text = f"spec:\n  a:{value}\n  b: 1\n"
            after, _ = change(text, lambda document: document["spec"].update(a={"c": [1]}))
            self.assertEqual({"spec": {"a": {"c": [1]}, "b": 1}}, yaml.safe_load(after))
            self.assertIn("  a:\n    c:\n", after)

    def test_indented(self) -> None:
        """New lists are indented where the text's are."""
        after, _ = change("a:\n  - 1\nb: 2\n", lambda document: document.update(c=[{"d": [3]}]))
        self.assertEqual("a:\n  - 1\nb: 2\nc:\n  - d:\n      - 3\n", after)

    def test_line_ends(self) -> None:
        """Those of Windows stay those of Windows; a text that ends without one does so."""
        after, _ = change("a:\r\n- 1\r\nb: 2", lambda document: document.update(c=[3]))
        self.assertEqual("a:\r\n- 1\r\nb: 2\r\nc:\r\n- 3", after)

    def test_documents(self) -> None:
        """Of several documents those that do not change stay, and so do the lines between them."""
        text = "%YAML 1.1\n---\na: 1  # x\n...\n---\n# nothing\n---\nb: 2  # y\n---   # z\nc: 3\n"
        after, _ = change(text, lambda one: None, lambda two: two.update(d=[1]), lambda three: three.update(e="on"))
        self.assertEqual(text.replace("y\n", "y\nd:\n- 1\n").replace("c: 3\n", "c: 3\ne: 'on'\n"), after)


class AnewTests(SynchronousTestCase):
    """Where a text is written in a way that nothing can be put into, it says what it is to all the same."""

    def test_json(self) -> None:
        """JSON stays JSON."""
        after, lost = change('{"a": {"b": [1]}}\n', lambda document: document["a"]["b"].append("é"))
        self.assertEqual({"a": {"b": [1, "é"]}}, json.loads(after))
        self.assertEqual([], lost)

    def test_anchors(self) -> None:
        """What is said in two places and changed in one is said twice; that remarks are lost is told."""
        text = "a: &x  # here\n  b: 1\nc: *x\n"
        after, lost = change(text, lambda document: document.update(c={"b": 1, "d": 2}))
        self.assertEqual({"a": {"b": 1}, "c": {"b": 1, "d": 2}}, yaml.safe_load(after))
        self.assertEqual(1, len(lost))

    def test_merged(self) -> None:
        """So is what is merged."""
        text = "x: &x {b: 1}\na:\n  <<: *x\n  c: 2\n"
        after, lost = change(text, lambda document: document["a"].update(d=3))
        self.assertEqual({"b": 1, "c": 2, "d": 3}, yaml.safe_load(after)["a"])
        self.assertEqual([], lost)

    def test_odd(self) -> None:
        """Ways to write that few know."""
        for text in (
            "? a\n: - 1\n",
            "a:\n  -\n    b: 1\n",
            "a:\n- - 1\n  - 2\n",
            "a: !!map\n  b: [1]\n",
            "a: >-\n  folded\n  text\n",
            "a: |+\n  kept\n\n\n",
            '"a": "x\\\n  y"\n',
            "a: b\n  c\n",
            "--- {a: 1}\n",
            "--- \na: 1\n...\n",
            "\ufeffa: 1\n",
            "1: x\na: 2\n",
            "a:\n- b: 1\n  # remark\n\n# end",
        ):
            old = yaml.safe_load(text)
            for value in ({"k": ["v"]}, [1, {"name": "n"}], "x: y", None):
                for key in ("a", "new"):
                    after, _ = change(text, lambda document, key=key, value=value: document.update({key: value}))
                    self.assertEqual({**old, key: value}, yaml.safe_load(after), text)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("a:#-'\" \n|é", max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc-", min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)
DOCUMENTS = st.lists(
    st.dictionaries(st.sampled_from(["kind", "spec", "x"]), VALUES, min_size=1), min_size=1, max_size=3
)


class AnyTests(SynchronousTestCase):
    """Whatever values there are, and whatever they become."""

    @settings(max_examples=150, deadline=None, database=None, derandomize=True)
    @given(DOCUMENTS, st.data(), st.booleans())
    def test_any(self, old: list[Any], data: st.DataObject, flow: bool) -> None:
        """The text says what it is to, and a second time nothing changes."""
        new = [data.draw(DOCUMENTS)[0] for _ in old]
        text = yaml.safe_dump_all(old, default_flow_style=flow or None, sort_keys=False, allow_unicode=True)
        nodes = list(yaml.compose_all(text, yaml.SafeLoader))
        after, _ = patched(text, [Change(*one) for one in zip(nodes, old, new, strict=True)])
        self.assertEqual(new, list(yaml.safe_load_all(after)))
        nodes = list(yaml.compose_all(after, yaml.SafeLoader))
        self.assertEqual((after, []), patched(after, [Change(*one) for one in zip(nodes, new, new, strict=True)]))
