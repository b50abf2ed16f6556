# -*- test-case-name: tests.sidecar.test_inject -*-
"""
Tests for L{lproxy.sidecar.inject}: from text to text.
"""

from __future__ import annotations

import textwrap
from dataclasses import replace

import yaml
from twisted.trial.unittest import SynchronousTestCase

from lproxy.sidecar.inject import injected
from lproxy.sidecar.manifest import Unreadable
from lproxy.sidecar.settings import Settings
from tests.kubernetes import complaints

POD = """\
metadata:
  labels: {app: web}   # the selector's
spec:
  restartPolicy: %s
  containers:
  # the application
  - name: web
    image: "web:1"
"""


def workload(kind: str, api: str, head: str, indent: int, restart: str = "Always") -> str:
    """A document that makes pods."""
    return f"apiVersion: {api}\nkind: {kind}\nmetadata: {{name: {kind.lower()}}}\n{head}" + textwrap.indent(
        POD % restart, " " * indent
    )


SELECTED = "spec:\n  selector: {matchLabels: {app: web}}\n"
DAILY = 'spec:\n  schedule: "@daily"\n'
MANIFEST = "---\n".join(
    (
        workload("Deployment", "apps/v1", f"{SELECTED}  template:\n", 4),
        workload("StatefulSet", "apps/v1", f"{SELECTED}  serviceName: web\n  template:\n", 4),
        workload("DaemonSet", "apps/v1", f"{SELECTED}  template:\n", 4),
        workload("Job", "batch/v1", "spec:\n  template:\n", 4, "Never"),
        workload(
            "CronJob",
            "batch/v1",
            'spec:\n  schedule: "@daily"\n  jobTemplate:\n    spec:\n      template:\n',
            8,
            "Never",
        ),
        "# a list\napiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n"
        "  metadata: {name: one}\n  spec:\n    containers: [{name: web, image: web}]\n",
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n  ports: [{port: 80}]  # http\n",
    )
)
FULL = Settings(
    image="registry.example:5000/lproxy:1",
    config_map="lproxy",
    identity_secret="web-identity",
    log_level="debug",
    image_pull_policy="Always",
    cpu_limit="2",
)


class InjectedTests(SynchronousTestCase):
    """A manifest with sidecars."""

    def test_all(self) -> None:
        """Each object that makes pods has one, and each line of the manifest is there as it was."""
        done = injected(MANIFEST, Settings())
        self.assertEqual(6, done.pods)
        self.assertEqual(6, done.text.count("- name: lproxy-init\n"))
        self.assertEqual(MANIFEST.count("restartPolicy: Always\n") + 6, done.text.count("restartPolicy: Always\n"))
        self.assertEqual("Deployment deployment: has the sidecar", done.notes[0])
        # but for one that is written in braces, which has annotations now
        rest = iter(done.text.splitlines())
        lines = MANIFEST.replace("  metadata: {name: one}\n", "").splitlines()
        self.assertEqual([], [line for line in lines if line not in rest])

    def test_again(self) -> None:
        """A second time not a byte changes; nor does what has others' settings come out otherwise than at once."""
        for settings in (Settings(), FULL):
            once = injected(MANIFEST, settings).text
            self.assertEqual(once, injected(once, settings).text)
        other = injected(injected(MANIFEST, FULL).text, Settings()).text
        for found, fresh in zip(
            yaml.safe_load_all(other), yaml.safe_load_all(injected(MANIFEST, Settings()).text), strict=True
        ):
            spec = found.get("spec", {}).get("template", {}).get("spec")
            if spec is not None:
                self.assertEqual([], spec.pop("volumes"))
                self.assertEqual(fresh["spec"]["template"]["spec"], spec)

    def test_valid(self) -> None:
        """Kubernetes takes all of it, as old as native sidecars are and as new as it is."""
        plain = replace(FULL, native=False)
        jobs = MANIFEST.index("---\napiVersion: batch/v1\nkind: Job")
        for text, settings in ((MANIFEST, Settings()), (MANIFEST, FULL), (MANIFEST[:jobs], plain)):
            self.assertEqual([], complaints(injected(text, settings).text))

    def test_left_alone(self) -> None:
        """Who does not want one is as it was, and is told of; so is a manifest without pods."""
        text = MANIFEST.replace(
            "kind: DaemonSet\nmetadata: {", "kind: DaemonSet\nmetadata: {annotations: {lproxy/inject: disabled}, "
        )
        done = injected(text, Settings())
        self.assertEqual(5, done.pods)
        self.assertIn("DaemonSet daemonset: left as it is: lproxy/inject: disabled", done.notes)
        # one that has it by now keeps it, and that is said
        had = f"kind: Pod\n{POD % 'Always'}".replace("labels:", "annotations: {lproxy/inject: enabled}\n  labels:")
        done = injected(injected(had, Settings()).text.replace("enabled", "disabled"), Settings())
        self.assertIn("left as it is, with the sidecar that it has: lproxy/inject: disabled", done.notes[0])
        service = MANIFEST.rpartition("---\n")[2]
        done = injected(service, Settings())
        self.assertEqual((service, ["nothing in it makes pods"], 0), (done.text, done.notes, done.pods))

    def test_annotated(self) -> None:
        """A pod's annotations are its own."""
        text = (POD % "Always").replace("labels:", 'annotations: {lproxy/skip-outbound-ports: "25"}\n  labels:')
        done = injected(f"kind: Pod\n{text}---\nkind: Pod\n{POD % 'Always'}", Settings())
        self.assertEqual(1, done.text.count("--skip-outbound-ports\n"))

    def test_comments_lost(self) -> None:
        """Where remarks could not be kept, that is said."""
        text = "kind: Pod\nspec: &s   # once\n  containers: [{name: web}]\nstatus: *s\n"
        self.assertIn("document 1: written anew, without its comments", injected(text, Settings()).notes)

    def test_mistakes(self) -> None:
        """Line, document, object, path, and what is wrong; the first counts."""
        for text, said in (
            (
                "kind: Service\n---\n# x\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers: 7\n",
                "line 7: document 2, Pod web: spec.containers: expected a list, found a number",
            ),
            (
                'kind: Pod\nmetadata:\n  annotations:\n    lproxy/uid: "x"\nspec: {containers: [{name: a}]}\n',
                "line 4: document 1, a Pod: metadata.annotations: lproxy/uid: 'x' is no user's number other than",
            ),
            ("kind: List\nitems:\n- name: x\n", "line 3: document 1: items[0].kind: expected a string, found nothing"),
            ("kind: [\n", "line 2: document 1: expected the node content"),
        ):
            self.assertIn(said, str(self.assertRaises(Unreadable, injected, text, Settings())))
