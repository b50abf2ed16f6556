# -*- test-case-name: tests.profiles.test_conflicts -*-
"""
Documents that are each right, and not together.
"""

from __future__ import annotations

from lproxy.config import Service
from lproxy.profile import Backend, Profile
from lproxy.profiles.conflicts import conflicts, oddities
from lproxy.profiles.read import Within, read
from tests.profiles.case import HTTP, SP, PagesTestCase


def profile(name: str, *others: str) -> str:
    listed = ", ".join(f"{{authority: {one}, weight: 1}}" for one in others)
    return SP.replace("name: web.", f"name: {name}.") + f"  dstOverrides: [{listed}]\n"


class TogetherTests(PagesTestCase):
    def wrong(self, *texts: str, services: dict[str, Service] | None = None) -> list[list[str]]:
        described = [one for n, text in enumerate(texts) for one in read(f"f{n}", text.encode(), Within()).described]
        return [[str(one) for one in group] for group in conflicts(described, services or {})]

    def test_good(self) -> None:
        """Who stands for himself beside others is no circle; nor is a line of services."""
        self.assertEqual(
            [],
            self.wrong(
                profile("a", "a.shop.svc.cluster.local:80", "b.shop"),
                profile("b", "c.shop.svc.cluster.local"),
                profile("c"),
                SP.replace("namespace: shop", "namespace: client") + "  routes: []\n",
                SP + "  routes: []\n",
            ),
        )

    def test_twice(self) -> None:
        """Two of one kind, name and namespace are an error of both."""
        self.assertEqual(
            [
                [
                    "f0:1: ServiceProfile web.shop.svc.cluster.local: there is another one, in f1:1; leave out one "
                    "of them",
                    "f1:1: ServiceProfile web.shop.svc.cluster.local: there is another one, in f0:1; leave out one "
                    "of them",
                ],
                [
                    "f2:1: HTTPRoute web: there is another one, in line 10; leave out one of them",
                    "f2:10: HTTPRoute web: there is another one, in line 1; leave out one of them",
                ],
            ],
            self.wrong(SP + "  routes: []\n", SP + "  routes: []\n", f"{HTTP}  rules: []\n---\n{HTTP}  rules: []\n"),
        )

    def test_circle(self) -> None:
        """Services that override each other are an error of each, also by way of the configuration's."""
        circle = (
            "overrides in a circle: a.shop.svc.cluster.local > b.shop.svc.cluster.local > a.shop.svc.cluster.local; "
            "let "
            "one have no dstOverrides"
        )
        a, b = "a.shop.svc.cluster.local:80", "b.shop.svc:80"
        self.assertEqual(
            [
                [
                    f"f0:1: ServiceProfile a.shop.svc.cluster.local: {circle}",
                    f"f1:1: ServiceProfile b.shop.svc.cluster.local: {circle}",
                ]
            ],
            self.wrong(profile("a", b), profile("b", a)),
        )
        service = Service(name=b, profile=Profile(backends=(Backend(a),)))
        ((error,),) = self.wrong(profile("a", b), services={b: service})
        self.assertIn("overrides in a circle", error)

    def test_bare(self) -> None:
        """A backend of a bare name, which DNS is hardly to know, is a warning; unless it is configured."""
        text = profile("a", "v2:80", "v3.shop", "10.0.0.1:80", "localhost:80")
        described = read("f", text.encode(), Within()).described
        (problem,) = oddities(described, {})
        self.assertEqual(
            'f:1: warning: ServiceProfile a.shop.svc.cluster.local: "v2" is no [services] table: DNS is asked for that '
            "bare name, without any domain; write its namespace, too",
            str(problem),
        )
        self.assertEqual([], list(oddities(described, {"v2:80": Service(name="v2:80")})))
        routes = HTTP.replace("  namespace: shop\n", "") + "  rules: [{backendRefs: [{name: v2, port: 80}]}]\n"
        self.assertEqual(1, len(list(oddities(read("f", routes.encode(), Within()).described, {}))))

    def test_unused(self) -> None:
        """What has no effect is a warning."""
        texts = (SP + "  routes: []\n", HTTP + "  rules: []\n")
        described = [one for n, text in enumerate(texts) for one in read(f"f{n}", text.encode(), Within()).described]
        configured = {"web.shop.svc:80": Service(name="web.shop.svc:80", profile=Profile())}
        self.assertEqual(
            [
                'f0:1: warning: ServiceProfile web.shop.svc.cluster.local: is unused: [services."web.shop.svc:80"] '
                "has a "
                "profile, which has precedence",
                "f1:1: warning: HTTPRoute web: is unused for web.shop.svc.cluster.local: its ServiceProfile has "
                "precedence",
            ],
            [str(one) for one in oddities(described, configured)],
        )

    def test_for_others(self) -> None:
        """What is for clients of another namespace than ours is a warning, where ours is known."""
        client = SP.replace("namespace: shop", "namespace: client") + "  routes: []\n---\n"
        client += HTTP.replace("namespace: shop", "namespace: client").replace(
            "name: web,", "name: web, namespace: shop,"
        )
        described = read("f", client.encode(), Within()).described
        self.assertEqual(2, len(described))
        for namespace, wanted in (("third", 2), ("shop", 2), ("client", 0), ("", 0)):
            found = [str(one) for one in oddities(described, {}, namespace) if "is for clients of" in str(one)]
            self.assertEqual(wanted, len(found), namespace)
            for line in found:
                self.assertIn(f"of the namespace client, and ours is {namespace}", line)
        gateway = HTTP.partition("spec:")[0] + "spec:\n  hostnames: [a.example]\n"
        for text in (SP + "  routes: []\n", HTTP + "  rules: []\n", gateway):
            self.assertEqual([], list(oddities(read("f", text.encode(), Within()).described, {}, "third")))
