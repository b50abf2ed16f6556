# -*- test-case-name: tests.sidecar.test_manifest -*-
"""
Tests for L{lproxy.sidecar.manifest}.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.sidecar.manifest import Unreadable, documents, line, pods, shown

SPEC = {"containers": [{"name": "web"}]}
TEMPLATE = {"metadata": {}, "spec": SPEC}


class DocumentsTests(SynchronousTestCase):
    """A text is documents, or it is told why not."""

    def unreadable(self, text: str) -> str:
        return str(self.assertRaises(Unreadable, documents, text))

    def test_several(self) -> None:
        """Empty ones count, and are none; what may be changed is a copy."""
        found = documents("a: [1]\n---\n# nothing\n---\nb: 2\n")
        self.assertEqual([(1, {"a": [1]}), (3, {"b": 2})], [(one.number, one.old) for one in found])
        found[0].new["a"].append(2)
        self.assertEqual({"a": [1]}, found[0].old)
        self.assertEqual([], documents("") + documents("---\n"))

    def test_mistakes(self) -> None:
        """Line, document and what is wrong."""
        for text, said in (
            ("a: b\n c: d\n", "line 2: document 1: mapping values are not allowed here"),
            ("a: b\n---\nc: [\n", "line 4: document 2: expected the node content, but found '<stream end>'"),
            ("a: 1\nb: {c: 1, c: 2}\n", "line 2: document 1: the key c is there twice"),
            ("a: 1\n---\nb: !vault x\n", "line 3: document 2: could not determine a constructor for the tag '!vault'"),
            (
                "a: {{ .Values.a }}\n",
                "line 1: document 1: found unhashable key; a template is to be rendered first: helm",
            ),
            ("a: *x\n", "line 1: document 1: found undefined alias 'x'"),
            ("a: \x00\n", "document 1: unacceptable character"),
            ("a: 2001-99-99\n", "document 1: month must be in 1..12"),
        ):
            self.assertIn(said, self.unreadable(text))

    def test_traps(self) -> None:
        """What comes to more than anybody writes is refused before it does."""
        laughs = "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
        for above, name in zip("abcdef", "bcdefg", strict=True):
            laughs += f"{name}: &{name} [{', '.join(['*' + above] * 10)}]\n"
        self.assertIn("more than 1,000,000 values", self.unreadable(laughs))
        self.assertIn("an alias that is within itself", self.unreadable("a: &a [*a]\n"))
        for depth in (150, 5_000):
            self.assertIn("more than 100 deep", self.unreadable("a: " + "[" * depth + "]" * depth))

    def test_merged(self) -> None:
        """The same merged twice is no key that is there twice."""
        self.assertEqual({"c": 1}, documents("x: &x {c: 1}\ny:\n  <<: *x\n")[0].old["y"])


class PodsTests(SynchronousTestCase):
    """Which objects make pods, and by what."""

    def found(self, document: Any) -> list[tuple[str, str]]:
        return [(str(one), shown(one.path)) for one in pods(document)]

    def test_kinds(self) -> None:
        """Each kind of Kubernetes that makes them."""
        for kind, api in (
            *((kind, "apps/v1") for kind in ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet")),
            ("ReplicationController", "v1"),
            ("Job", "batch/v1"),
        ):
            document = {"apiVersion": api, "kind": kind, "metadata": {"name": "x"}, "spec": {"template": TEMPLATE}}
            self.assertEqual([(f"{kind} x", "spec.template")], self.found(document))
        self.assertEqual([("Pod x", "")], self.found({"kind": "Pod", "metadata": {"generateName": "x"}, "spec": SPEC}))
        self.assertEqual([("a PodTemplate", "template")], self.found({"kind": "PodTemplate", "template": TEMPLATE}))
        cron = {"kind": "CronJob", "apiVersion": "batch/v1", "spec": {"jobTemplate": {"spec": {"template": TEMPLATE}}}}
        self.assertEqual([("a CronJob", "spec.jobTemplate.spec.template")], self.found(cron))

    def test_lists(self) -> None:
        """Lists have them, lists of lists too."""
        inner = {"kind": "PodList", "items": [{"kind": "Pod", "spec": SPEC}]}
        outer = {"apiVersion": "v1", "kind": "List", "items": [{"kind": "Service"}, inner]}
        self.assertEqual([("a Pod", "items[1].items[0]")], self.found(outer))
        self.assertEqual([], self.found({"kind": "List", "items": None}))
        # as the API itself answers, where the list's kind says it
        self.assertEqual([("a Pod", "items[0]")], self.found({"kind": "PodList", "items": [{"spec": SPEC}]}))
        error = self.assertRaises(Unreadable, list, pods({"kind": "List", "items": [{}]}))
        self.assertEqual("items[0].kind", shown(error.path))

    def test_others(self) -> None:
        """What makes none has none, whatever it looks like, nor does somebody else's kind of the same name."""
        for document in (
            {"kind": "Service", "spec": None},
            {"kind": "PriorityList"},
            {"apiVersion": "batch.volcano.sh/v1alpha1", "kind": "Job", "spec": {"tasks": []}},
        ):
            self.assertEqual([], self.found(document))

    def test_mistakes(self) -> None:
        """What it would take is told with its path."""
        for document, path, said in (
            ([], "", "expected a mapping, found a list"),
            ({}, "kind", "expected a string, found nothing"),
            ({"kind": "List", "items": [7]}, "items[0]", "expected a mapping, found a number"),
            ({"kind": "Job", "spec": True}, "spec", "expected a mapping, found true or false"),
            ({"kind": "Job", "spec": {"template": "x"}}, "spec.template", "expected a mapping, found a string"),
            ({"kind": "Pod", "metadata": "x"}, "metadata", "expected a mapping, found a string"),
        ):
            error = self.assertRaises(Unreadable, list, pods(document))
            self.assertEqual((path, said), (shown(error.path), str(error)))


class LineTests(SynchronousTestCase):
    """Where something is."""

    def test_line(self) -> None:
        """The line of what there is, or of the nearest above it."""
        (document,) = documents("a: 1\nb:\n  c:\n  - x\n  - d: 2\n")
        for path, number in ((("b", "c", 1, "d"), 5), (("b", "c", 7), 4), (("b", "z"), 3), (("z",), 1), ((), 1)):
            self.assertEqual(number, line(document.node, path))
