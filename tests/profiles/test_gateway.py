# -*- test-case-name: tests.profiles.test_gateway -*-
"""
HTTPRoute and GRPCRoute of the Gateway API.
"""

from __future__ import annotations

from lproxy.profile import Backend, Path, Retries, RouteTimeouts
from lproxy.profiles.described import Parent
from lproxy.profiles.names import ServiceOf
from lproxy.profiles.read import Within
from tests.profiles.case import GRPC, HTTP, PagesTestCase, indented

SPEC = HTTP.partition("spec:\n")[0] + "spec:\n"


class GatewayTests(PagesTestCase):
    def test_of_a_service(self) -> None:
        """Attached to services, they are for those, at a port or at all."""
        found = self.routes(
            SPEC
            + indented(
                """
                parentRefs:
                - {group: "", kind: Service, name: web, port: 80}
                - {group: core, kind: Service, name: API, namespace: other}
                rules: []
                """
            )
        )
        self.assertEqual((Parent(ServiceOf("web", "shop"), 80), Parent(ServiceOf("api", "other"))), found.parents)
        self.assertEqual(((), frozenset()), (found.hosts, found.ports))

    def test_of_a_gateway(self) -> None:
        """Attached to gateways, or to nothing, they are for the hosts that they name, or for all."""
        for parents, ports in (
            ("[{name: gw}]", set()),
            ("[{name: gw, port: 443, sectionName: https}]", {443}),
            ("[{name: gw, port: 443}, {name: gw, port: 80}, {name: gw, port: 443}]", {80, 443}),
            ("[{name: gw, port: 443}, {name: other}]", set()),
            ("~", set()),
        ):
            text = f"{SPEC}  parentRefs: {parents}\n  hostnames: [web.example, '*.Web.example']\n"
            found = self.routes(text)
            self.assertEqual((("web.example", "*.web.example"), ports), (found.hosts, set(found.ports)))
        self.assertEqual(("*",), self.routes(SPEC + "  rules: []\n").hosts)

    def test_rules(self) -> None:
        """A rule is a route for each of its matches, with all that the rule says."""
        found = self.routes(
            HTTP
            + indented(
                """
                rules:
                - name: reads
                  matches: [{method: GET}, {method: HEAD}]
                  timeouts: {request: 10s, backendRequest: 2s}
                  retry: {codes: [503, 504], attempts: 2}
                  backendRefs:
                  - {name: web-v1, port: 8080, weight: 90}
                  - {name: web-v2, namespace: beta, port: 8080, weight: 0}
                - backendRefs: [{name: web, port: 80}]
                """
            )
        )
        routes = [route for _, route in found.ranked]
        self.assertEqual(["web/reads/matches[0]", "web/reads/matches[1]", "web/rules[1]"], [r.name for r in routes])
        for route in routes[:2]:
            self.assertEqual(RouteTimeouts(stream=10.0, per_try=2.0), route.timeouts)
            self.assertEqual(Retries(3, False, ((503, 503), (504, 504)), unsafe=True), route.retries)
            self.assertEqual(
                (
                    Backend("web-v1.shop.svc.cluster.local:8080", 90),
                    Backend("web-v2.beta.svc.cluster.local:8080", 0),
                ),
                route.backends,
            )
        self.assertEqual((None, RouteTimeouts()), (routes[2].retries, routes[2].timeouts))

    def test_nothing_said(self) -> None:
        """What is there and empty, as templates write it, says nothing."""
        found = self.routes(
            HTTP + "  rules: [{matches: [], filters: [], backendRefs: [{name: a, port: 1, filters: []}]}]\n"
        )
        self.assertEqual([Backend("a.shop.svc.cluster.local:1")], [one for _, r in found.ranked for one in r.backends])

    def test_no_group(self) -> None:
        """A service without a group is none, as the API has gateways' then: what to write is said."""
        self.says(
            SPEC + "  parentRefs: [{kind: Service, name: web}]\n",
            "f:7: spec.parentRefs[0]: a parent of kind Service (gateway.networking.k8s.io) is unknown; write "
            'group: "": without it that is the group of gateways',
        )

    def test_no_rules(self) -> None:
        """Without a rule there is one, as the API has it: for every request, served by the service itself."""
        for rules in ("", "  rules: []\n", "  rules: [{}]\n"):
            ((_, route),) = self.routes(HTTP + rules).ranked
            self.assertEqual(("web/rules[0]", Path("/", "prefix"), ()), (route.name, route.condition, route.backends))

    def test_within(self) -> None:
        """Documents without a namespace are in the one that is configured; without that, names stand alone."""
        text = HTTP.replace("  namespace: shop\n", "") + "  rules: [{backendRefs: [{name: v2, port: 80}]}]\n"
        for within, host in ((Within("beta", "my.domain"), "v2.beta.svc.my.domain:80"), (Within(), "v2:80")):
            (found,) = self.all_of(text, within)
            assert found is not None
            self.assertIn(host, repr(found))

    def test_versions(self) -> None:
        """The versions of the API that have them, and Linkerd's own."""
        for version in ("v1beta1", "v1alpha2"):
            self.routes(HTTP.replace("io/v1", f"io/{version}"))
        self.routes(HTTP.replace("gateway.networking.k8s.io/v1", "policy.linkerd.io/v1beta3"))
        self.assertEqual("GRPCRoute", self.routes(GRPC).kind)

    def test_wrong(self) -> None:
        """What is wrong, or does not map, is said where it stands."""
        self.says(
            SPEC
            + indented(
                """
                parentRefs:
                - {kind: Ingress, name: a}
                - {group: "", kind: Service, name: a, sectionName: http}
                hostnames: ["a b"]
                rules:
                - backendRefs: [{name: a, port: 80, weight: -1}]
                - backendRefs: [{name: a, port: 80, weight: 0}, {name: b, port: 80, weight: 0}]
                - backendRefs: [{name: a}]
                - backendRefs: [{kind: ServiceImport, group: multicluster.x-k8s.io, name: a, port: 80}]
                - backendRefs: [{name: a, port: 80, filters: [{type: RequestMirror}]}]
                - backendRefs: [{name: a, port: 80}, {name: a, port: 80}]
                - timeouts: {request: 1s, backendRequest: 2s}
                - timeouts: {request: 10}
                - retry: {codes: [200]}
                - sessionPersistence: {sessionName: x}
                - {name: x}
                - {name: x}
                - filters: [{type: RequestRedirect, requestRedirect: {}}]
                  backendRefs: [{name: a, port: 80}]
                """
            ),
            "f:8: spec.parentRefs[0]: a parent of kind Ingress (gateway.networking.k8s.io) is unknown; it may be "
            "Gateway or Service",
            "f:9: spec.parentRefs[1].sectionName: names a port, which only the cluster knows; write port: and its "
            "number",
            'f:10: spec.hostnames[0]: "a b" is no host name; write one such as web.example, or "*.example"',
            "f:12: spec.rules[0].backendRefs[0].weight: -1 is negative",
            "f:13: spec.rules[1].backendRefs: have no weight at all: nobody would be asked; give one of them a weight",
            "f:14: spec.rules[2].backendRefs[0].port: is missing; write the port of the service",
            "f:15: spec.rules[3].backendRefs[0]: a backend of kind ServiceImport (multicluster.x-k8s.io) is "
            "unknown; it "
            "may be a Service",
            "f:16: spec.rules[4].backendRefs[0].filters: of one backend are not done; write them as filters of the "
            "rule",
            'f:17: spec.rules[5].backendRefs: "a.shop.svc.cluster.local:80" is given twice; give it the sum of both '
            "weights",
            "f:18: spec.rules[6].timeouts: backendRequest is more than request; lower the one or raise the other",
            'f:19: spec.rules[7].timeouts.request: "10" is no duration; write one such as 300ms, 10s or 1m30s: whole '
            "numbers with units",
            "f:20: spec.rules[8].retry.codes[0]: 200 is less than 400",
            "f:21: spec.rules[9].sessionPersistence: is not done: lproxy sets no cookies; a service can be sticky: "
            '[services."NAME"] sticky = { cookie = "..." }',
            'f:23: spec.rules[11]: the name "web/x" is taken; it is that of rules[10]',
            "f:25: spec.rules[12].backendRefs: are never asked: the rule redirects; leave them out",
        )

    def test_odd(self) -> None:
        """What has no effect is a warning."""
        text = HTTP + "  hostnames: [a.example]\n  rules: [{retry: {attempts: 1, backoff: 10ms}}]\n"
        pages = self.read(text)
        self.assertEqual(1, len(pages.described))
        self.assertEqual(
            [
                "f:8: warning: spec.hostnames: are not looked at: the parents are services, which have their own names",
                "f:9: warning: spec.rules[0].retry.backoff: is not waited for: a further try is made at once, "
                "elsewhere, "
                "within the service's retry budget",
            ],
            [str(one) for one in pages.problems],
        )
