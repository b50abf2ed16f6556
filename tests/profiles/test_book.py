# -*- test-case-name: tests.profiles.test_book -*-
"""
What whoever asks for a host and a port gets.
"""

from __future__ import annotations

from lproxy.profile import Backend
from lproxy.profiles.book import Book
from lproxy.profiles.read import Within, read
from tests.profiles.case import GRPC, HTTP, SP, PagesTestCase

ROUTES = "  routes: [{name: a, condition: {method: GET}}]\n"


class BookTests(PagesTestCase):
    def book(
        self, *texts: str, namespace: str = "", services: tuple[str, ...] = (), before: Book | None = None
    ) -> Book:
        within = Within(namespace)
        described = [one for n, text in enumerate(texts) for one in read(f"f{n}", text.encode(), within).described]
        return Book(described, within, dict.fromkeys(services), before)

    def names(self, book: Book, host: str, port: int = 80) -> list[str] | None:
        found = book.of(host, port)
        return None if found is None else [route.name for route in found.routes]

    def test_names(self) -> None:
        """A service's profile is found by all of its names, at any port, and is the same value each time."""
        book = self.book(SP + ROUTES)
        first = book.of("web.shop.svc.cluster.local", 80)
        for host in ("web.shop.svc.cluster.local", "web.shop.svc", "web.shop", "web"):
            self.assertEqual(["a"], self.names(book, host, 8080), host)
            self.assertEqual(first, book.of(host, 80))
            self.assertIs(book.of(host, 80), book.of(host, 80))
        for host in ("shop", "web.other", "web.shop.svc.other.domain", "xweb.shop", "10.0.0.1", ""):
            self.assertIsNone(book.of(host, 80), host)

    def test_bare(self) -> None:
        """A bare name is our own namespace's service; where none is configured, the only one's, or nobody's."""
        other = (SP + ROUTES).replace("shop", "beta").replace("name: a", "name: b")
        self.assertEqual(["b"], self.names(self.book(SP + ROUTES, other, namespace="beta"), "web"))
        self.assertIsNone(self.names(self.book(SP + ROUTES, namespace="beta"), "web"))
        book = self.book(SP + ROUTES, other)
        self.assertIsNone(self.names(book, "web"))
        self.assertEqual({"web": ["web.beta.svc.cluster.local", "web.shop.svc.cluster.local"]}, book.ambiguous())
        self.assertEqual((["a"], ["b"]), (self.names(book, "web.shop"), self.names(book, "web.beta")))

    def test_elsewhere(self) -> None:
        """A profile may be that of a host outside of the cluster."""
        book = self.book((SP + ROUTES).replace("web.shop.svc.cluster.local", "API.example.com."))
        self.assertEqual(["a"], self.names(book, "api.example.com", 443))

    def test_whose_namespace(self) -> None:
        """Of two profiles of a service, that of our own namespace counts, else the service's."""
        client = (SP + ROUTES).replace("namespace: shop", "namespace: client").replace("name: a", "name: mine")
        for namespace, wanted in (("client", "mine"), ("shop", "a"), ("", "a"), ("third", "a")):
            book = self.book(client, SP + ROUTES, namespace=namespace)
            self.assertEqual([wanted], self.names(book, "web.shop"), namespace)

    def test_for_others(self) -> None:
        """A profile for clients of another namespace alone is none of ours; that of a host outside is anybody's."""
        client = (SP + ROUTES).replace("namespace: shop", "namespace: client")
        for namespace, wanted in (("client", ["a"]), ("", ["a"]), ("third", None)):
            self.assertEqual(wanted, self.names(self.book(client, namespace=namespace), "web.shop"), namespace)
        outside = client.replace("web.shop.svc.cluster.local", "api.example.com")
        self.assertEqual(["a"], self.names(self.book(outside, namespace="third"), "api.example.com"))

    def test_backends(self) -> None:
        """A backend has the port that it says, else that of whoever is asked; and is a service of ours by any name."""
        text = SP + (
            "  dstOverrides:\n"
            "  - {authority: v1.shop.svc.cluster.local, weight: 1}\n"
            "  - {authority: v2.shop.svc.cluster.local:9000, weight: 2}\n"
            "  - {authority: v3.example, weight: 3}\n"
        )
        book = self.book(text, namespace="shop", services=("V1.shop:80", "v2:9000"))
        found = book.of("web", 80)
        assert found is not None
        self.assertEqual((Backend("V1.shop:80", 1), Backend("v2:9000", 2), Backend("v3.example:80", 3)), found.backends)
        found = book.of("web", 81)
        assert found is not None
        self.assertEqual(Backend("v1.shop.svc.cluster.local:81", 1), found.backends[0])

    def test_attached(self) -> None:
        """Routes attached to a service are for its port; what none has is not found, as the API says."""
        book = self.book(HTTP + "  rules:\n  - {name: b, matches: [{path: {value: /a}}]}\n  - {name: c}\n")
        for host in ("web.shop.svc.cluster.local", "web.shop", "web"):
            self.assertEqual(["web/b", "web/c", "unmatched"], self.names(book, host), host)
            self.assertIsNone(self.names(book, host, 81))
        found = book.of("web.shop", 80)
        assert found is not None and found.routes[-1].answer is not None
        self.assertEqual(404, found.routes[-1].answer.status)
        self.assertEqual("HTTPRoute web (f0)", found.source)

    def test_precedence(self) -> None:
        """Rules of several documents are in the API's order: the most specific, then the oldest document, then by "
        "name."""
        rules = (
            "  rules:\n  - {name: x, matches: [{path: {value: /a}}]}\n  - {name: y, matches: [{path: {value: /a/b}}]}\n"
        )
        old = HTTP.replace("name: web\n  namespace", "name: z\n  creationTimestamp: 2020-01-01T00:00:00Z\n  namespace")
        book = self.book(HTTP.replace("name: web\n", "name: b\n") + rules, HTTP + rules, old + rules)
        self.assertEqual(["z/y", "b/y", "web/y", "z/x", "b/x", "web/x", "unmatched"], self.names(book, "web.shop"))

    def test_hosts(self) -> None:
        """The very host comes before its domain, the longest domain before others, and all before everybody."""

        def text(name: str, hosts: str) -> str:
            head = HTTP.partition("spec:")[0].replace("name: web", f"name: {name}")
            return f"{head}spec:\n  hostnames: {hosts}\n  rules: [{{name: r}}]\n"

        book = self.book(
            text("all", "~"),
            text("domain", "['*.example']"),
            text("sub", "['*.a.example']"),
            text("own", "[x.a.example]"),
        )
        self.assertEqual(["own/r", "sub/r", "domain/r", "all/r", "unmatched"], self.names(book, "x.a.example"))
        self.assertEqual(["domain/r", "all/r", "unmatched"], self.names(book, "a.example"))
        self.assertEqual(["all/r", "unmatched"], self.names(book, "example"))
        only = self.book(text("gw", "[a.example]").replace("spec:", "spec:\n  parentRefs: [{name: gw, port: 443}]"))
        self.assertIsNone(self.names(only, "a.example", 80))
        self.assertEqual(["gw/r", "unmatched"], self.names(only, "a.example", 443))

    def test_once(self) -> None:
        """Of a document that fits in several ways the routes are there once, where it fits best."""
        rules = "  rules: [{name: r}]\n"
        hosts = HTTP.partition("spec:")[0] + f"spec:\n  hostnames: ['*.example', a.example, a.example]\n{rules}"
        self.assertEqual(["web/r", "unmatched"], self.names(self.book(hosts), "a.example"))
        parents = HTTP.replace("port: 80}]", 'port: 80}, {group: "", kind: Service, name: web}]') + rules
        self.assertEqual(["web/r", "unmatched"], self.names(self.book(parents), "web.shop"))

    def test_both(self) -> None:
        """A ServiceProfile comes before routes; routes of gRPC before those of HTTP."""
        http, grpc = HTTP + "  rules: [{name: h}]\n", GRPC + "  rules: [{name: g}]\n"
        self.assertEqual(["a"], self.names(self.book(http, SP + ROUTES), "web.shop"))
        self.assertEqual(["web/g", "web/h", "unmatched"], self.names(self.book(http, grpc), "web.shop"))

    def test_told_apart(self) -> None:
        """Routes of one name, from different namespaces, have names of their own."""
        rules = "  rules: [{name: r}]\n"
        other = HTTP.replace("namespace: shop", "namespace: beta").replace(
            "name: web, port", "name: web, namespace: shop, port"
        )
        book = self.book(HTTP + rules, other + rules)
        self.assertEqual(["web/r", "web/r (2)", "unmatched"], self.names(book, "web.shop"))

    def test_whose_routes(self) -> None:
        """Routes of our own namespace stand in the place of the service's; those of others are for these alone."""
        own = HTTP + "  rules: [{name: own}]\n"
        client = HTTP.replace("namespace: shop", "namespace: client").replace(
            "name: web, port", "name: web, namespace: shop, port"
        )
        client += "  rules: [{name: mine}]\n"
        for namespace, wanted in (("shop", ["web/own"]), ("client", ["web/mine"]), ("third", ["web/own"])):
            book = self.book(own, client, namespace=namespace)
            self.assertEqual([*wanted, "unmatched"], self.names(book, "web.shop"), namespace)
        self.assertEqual(["web/mine", "web/own", "unmatched"], self.names(self.book(own, client), "web.shop"))
        self.assertIsNone(self.names(self.book(client, namespace="third"), "web.shop"))

    def test_identity(self) -> None:
        """What the next book says the same, it says with the same value."""
        text = SP + ROUTES + "  dstOverrides: [{authority: v1.shop, weight: 1}]\n"
        first = self.book(text, HTTP + "  rules: []\n")
        old = first.of("web.shop", 80)
        second = self.book(text, before=first)
        self.assertIs(old, second.of("web.shop", 80))
        third = self.book(text.replace("name: a", "name: b"), before=second)
        self.assertNotEqual(old, third.of("web.shop", 80))
