# -*- test-case-name: tests.profiles.test_read -*-
"""
Files of documents.
"""

from __future__ import annotations

from lproxy.profiles import read as module
from lproxy.profiles.read import MAX_FILE, Within, in_steps, read, too_long
from tests.profiles.case import HTTP, SP, PagesTestCase

ROUTE = "  routes: [{name: a, condition: {method: GET}}]\n"


class ReadTests(PagesTestCase):
    def test_several(self) -> None:
        """A file has several documents, in YAML or JSON, or a list of them as kubectl writes it."""
        self.assertEqual(2, len(self.all_of(f"{SP}{ROUTE}---\n{HTTP}")))
        listed = "apiVersion: v1\nkind: List\nitems:\n- " + (SP + ROUTE).replace("\n", "\n  ")
        self.assertEqual(1, len(self.all_of(listed)))
        typed = listed.replace(
            "apiVersion: v1\nkind: List", "apiVersion: linkerd.io/v1alpha2\nkind: ServiceProfileList"
        )
        self.assertEqual(1, len(self.all_of(typed)))
        json = '{"apiVersion": "linkerd.io/v1alpha2", "kind": "ServiceProfile", "metadata": {"name": "a"}, "spec": {}}'
        self.assertEqual(1, len(self.all_of(json)))
        self.assertEqual((), self.all_of("# nothing\n---\n"))
        self.assertEqual(1, len(self.all_of("\ufeff" + SP + ROUTE)))

    def test_others(self) -> None:
        """Other kinds say nothing of routes, and are told of; so is what is no resource, or of an unknown version."""
        self.says(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n",
            "f:2: warning: kind: a Deployment says nothing of routes: it is passed over",
        )
        for version, kind in (
            ("v1", "Service"),
            ("v1", "ServiceAccount"),
            ("gateway.networking.k8s.io/v1", "Gateway"),
            ("gateway.networking.k8s.io/v1alpha2", "TCPRoute"),
            ("kuma.io/v1alpha1", "MeshHTTPRoute"),
        ):
            (problem,) = self.read(f"apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a}}\n").problems
            self.assertEqual(("warning", 2), (problem.severity, problem.line), kind)
        self.says(
            "kind: ServiceProfil\napiVersion: linkerd.io/v1alpha2\n",
            'f:1: kind: "ServiceProfil" is unknown; did you mean "ServiceProfile"?',
        )
        self.says("- a\n", "f:1: is no resource of Kubernetes; write apiVersion, kind, metadata and spec")
        self.says("routes: []\n", "f:1: kind: is missing; it is one of ServiceProfile, HTTPRoute, GRPCRoute")
        self.says(
            "kind: HTTPRoute\n", "f:1: apiVersion: is missing; write that of its kind, such as linkerd.io/v1alpha2"
        )
        self.says(
            SP.replace("v1alpha2", "v1alpha1") + ROUTE,
            'f:1: apiVersion: "linkerd.io/v1alpha1" has no ServiceProfile that is known; did you mean '
            '"linkerd.io/v1alpha2"?',
        )
        self.says(
            "kind: List\nitems: 5\n",
            "f:2: items: must be a list, and is a number; write each element below it, after -",
        )

    def test_names(self) -> None:
        """Names are labels of metrics: what they cannot be is an error, be it of a document, a route or a rule."""
        for text, where in (
            (SP.replace("name: web.shop.svc.cluster.local", 'name: "a\\nb"') + ROUTE, "f:4: metadata.name: "),
            (SP + '  routes: [{name: "a\\nb", condition: {method: GET}}]\n', "f:7: spec.routes[0].name: "),
            (HTTP + '  rules: [{name: "a\\nb"}]\n', "f:8: spec.rules[0].name: "),
        ):
            for name, wrong in (("a\\nb", "has control characters in it"), ("x" * 1001, "more than 1000 characters")):
                (problem,) = self.read(text.replace("a\\nb", name)).errors
                self.assertTrue(str(problem).startswith(where), problem)
                self.assertIn(wrong, str(problem))
        self.all_of(SP + f'  routes: [{{name: "{"x" * 1000}", condition: {{method: GET}}}}]\n')

    def test_whole_or_not(self) -> None:
        """Of a file with an error in it, nothing is taken, whatever else is in it."""
        pages = self.read(f"{SP}{ROUTE}---\n{SP}  rotues: []\n")
        self.assertEqual((), pages.described)
        self.assertEqual(
            ['f:15: spec.rotues: unknown field; did you mean "routes"?'], [str(one) for one in pages.errors]
        )

    def test_bytes(self) -> None:
        """What is not UTF-8 is refused with its line."""
        pages = read("f", b"a: 1\nb: \xff\n", Within())
        self.assertEqual(["f:2: not UTF-8: byte 0xff; save the file as UTF-8"], [str(one) for one in pages.problems])

    def test_toml(self) -> None:
        """Who writes TOML is told where that stands."""
        (problem,) = read("f.toml", b"[services]", Within()).problems
        self.assertEqual(
            'f.toml: is TOML; routes in TOML stand in the configuration: [services."NAME".routes.ROUTE]', str(problem)
        )

    def test_long(self) -> None:
        """What is too long is not begun with."""
        self.assertIsNone(too_long("f", MAX_FILE))
        self.patch(module, "documents", self.fail)
        pages = read("f", b"- a: [" * 2_000_000, Within())
        self.assertEqual(
            ["f: is 12000000 bytes long, and 4194304 are the most; split it into several"],
            [str(one) for one in pages.problems],
        )

    def test_same(self) -> None:
        """What a file said before, and says again, is the same value; what it says otherwise is another."""
        other = SP.replace("web.shop", "api.shop")
        before = self.all_of(f"{SP}{ROUTE}---\n{other}{ROUTE}")
        text = f"# moved\n---\n{other}{ROUTE}---\n{SP}{ROUTE.replace('GET', 'PUT')}"
        *_, pages = in_steps("f", text.encode(), Within(), before)
        assert pages is not None
        api, web = pages.described
        self.assertEqual((False, False), (api is before[1], web == before[0]))
        *_, pages = in_steps("f", f"{SP}{ROUTE}---\n{other}{ROUTE}# x\n".encode(), Within(), before)
        assert pages is not None
        self.assertEqual([True, True], [one is two for one, two in zip(before, pages.described, strict=True)])

    def test_steps(self) -> None:
        """Between two documents, two routes and two rules there is time for others."""
        routes = "".join(f"  - {{name: r{n}, condition: {{method: GET}}}}\n" for n in range(50))
        rules = "".join(f"  - name: r{n}\n" for n in range(50))
        for text, least in (
            (f"{SP}{ROUTE}---\n{HTTP}", 2),
            (f"{SP}  routes:\n{routes}", 50),
            (f"{HTTP}  rules:\n{rules}", 50),
        ):
            *steps, last = list(in_steps("f", text.encode(), Within()))
            self.assertGreaterEqual(len(steps), least)
            self.assertEqual([True] * len(steps) + [False], [step is None for step in (*steps, last)])
