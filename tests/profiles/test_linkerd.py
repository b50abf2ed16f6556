# -*- test-case-name: tests.profiles.test_linkerd -*-
"""
Linkerd's ServiceProfile.
"""

from __future__ import annotations

from lproxy.profile import (
    All,
    AnyOf,
    Backend,
    Method,
    Not,
    Path,
    ResponseClass,
    Retries,
    RetryBudget,
    RouteTimeouts,
    Statuses,
)
from lproxy.profiles.described import OfService
from tests.floors_source import ROOT
from tests.profiles.case import SP, PagesTestCase, indented

EVERYTHING = SP + indented(
    """
    routes:
    - name: GET /books/{id}
      condition:
        method: get
        pathRegex: /books/[^/]*
      isRetryable: true
      timeout: 1m500ms
      responseClasses:
      - condition: {status: {min: 500, max: 504}}
        isFailure: true
      - condition:
          all:
          - status: {min: 400, max: 599}
          - not: {status: {min: 100, max: 402}}
      - condition:
          any:
          - status: {min: 200}
          - status: {max: 300}
    - name: others
      condition:
        any:
        - method: PUT
        - all:
          - pathRegex: /a.*
          - not: {method: POST}
    retryBudget:
      retryRatio: 0.25
      minRetriesPerSecond: 0
      ttl: 30s
    dstOverrides:
    - authority: web-v1.shop.svc.cluster.local.:8080
      weight: 900m
    - authority: Web-V2.shop.
      weight: 100m
    opaquePorts:
    - "25"
    - 3306
    - 4000-4002
    """
)


class ServiceProfileTests(PagesTestCase):
    def test_everything(self) -> None:
        """Each field means what it means to Linkerd."""
        found = self.one(EVERYTHING)
        self.assertEqual(
            ("web.shop.svc.cluster.local", "shop", "f", 1), (found.host, found.namespace, found.file, found.line)
        )
        profile = found.profile
        books, others = profile.routes
        self.assertEqual("GET /books/{id}", books.name)
        self.assertEqual(All((Method("GET"), Path("/books/[^/]*", "regex"))), books.condition)
        self.assertEqual((Retries(tries=10, unsafe=True), RouteTimeouts(stream=60.5)), (books.retries, books.timeouts))
        self.assertEqual(
            (
                ResponseClass(Statuses(500, 504), True),
                ResponseClass(All((Statuses(400, 599), Not(Statuses(100, 402)))), False),
                ResponseClass(AnyOf((Statuses(200, 200), Statuses(300, 300))), False),
            ),
            books.classes,
        )
        self.assertEqual(AnyOf((Method("PUT"), All((Path("/a.*", "regex"), Not(Method("POST")))))), others.condition)
        self.assertEqual((None, RouteTimeouts(), ()), (others.retries, others.timeouts, others.classes))
        self.assertEqual(RetryBudget(0.25, 0.0, 30.0), profile.budget)
        self.assertEqual(
            (Backend("web-v1.shop.svc.cluster.local:8080", 9), Backend("web-v2.shop", 1)), profile.backends
        )
        self.assertEqual(frozenset((25, 3306, 4000, 4001, 4002)), profile.opaque_ports)
        self.assertIn("web.shop.svc.cluster.local (f)", profile.source)

    def test_least(self) -> None:
        """A profile may say nothing; what is given without a value is not given."""
        profile = self.one(SP + "  routes:\n  dstOverrides: ~\n").profile
        self.assertEqual(
            ((), None, (), frozenset()), (profile.routes, profile.budget, profile.backends, profile.opaque_ports)
        )

    def test_examples(self) -> None:
        """Profiles like those of Linkerd's books and emojivoto are read, without a problem."""
        folder = ROOT / "docs" / "examples" / "profiles"
        for name, services in (("books.yaml", 3), ("emojivoto.yaml", 3)):
            self.assertEqual(services, len(self.all_of((folder / name).read_text())), name)

    def test_wrong(self) -> None:
        """What is wrong is said with file, line and path, all of it; and nothing is taken of the file."""
        self.says(
            SP
            + indented(
                """
                routes:
                - name: a
                  condition: {method: GET, pathRegx: /a}
                - name: b
                  condition: {pathRegex: "/a(?=b)"}
                - name: c
                  condition: {}
                - name: d
                - condition: {method: GET}
                - name: f
                  condition: {method: "G T"}
                  isRetryable: "true"
                - name: g
                  condition: {method: GET}
                  timeout: 10
                - name: a
                  condition: {method: PUT}
                  timeout: 0s
                  retries: 3
                - name: h
                  condition: {method: GET}
                  responseClasses:
                  - condition: {status: {min: 504, max: 500}}
                  - condition: {status: {}}
                  - condition: {status: {min: 99}}
                  - isFailure: true
                  - condition: {all: []}
                retryBudget: {retryRatio: -1, minRetriesPerSecond: 1.5}
                dstOverrides:
                - {authority: "a b", weight: 1}
                - {authority: a, weight: -1}
                - {authority: b, weight: 0}
                - {weight: 1}
                - {authority: "c:99999", weight: 1}
                opaquePorts: [0, x, 5-3]
                """
            ),
            'f:9: spec.routes[0].condition.pathRegx: unknown field; did you mean "pathRegex"?',
            'f:11: spec.routes[1].condition.pathRegex: "/a(?=b)" is none of RE2\'s: look-around, (?= (?! (?<= or (?<!, '
            "takes time without bound",
            "f:13: spec.routes[2].condition: has no field; write method, pathRegex, all, any or not",
            "f:14: spec.routes[3].condition: is missing; write condition: and below it method: or pathRegex:",
            "f:15: spec.routes[4].name: is missing; write name: GET /books",
            'f:17: spec.routes[5].condition.method: "G T" is no method; write one such as GET',
            'f:21: spec.routes[6].timeout: "10" is no duration; write one such as 300ms, 10s or 1m30s',
            'f:24: spec.routes[7].timeout: "0s" is not more than zero; leave it out',
            "f:25: spec.routes[7].retries: unknown field; fields here are name, condition, isRetryable, timeout, "
            "responseClasses",
            "f:29: spec.routes[8].responseClasses[0].condition.status: min 504 is more than max 500: no status is "
            "that; "
            "swap them",
            "f:30: spec.routes[8].responseClasses[1].condition.status: has neither min nor max; write min: 500 and "
            "max: 599",
            "f:31: spec.routes[8].responseClasses[2].condition.status.min: 99 is less than 100",
            "f:32: spec.routes[8].responseClasses[3].condition: is missing; write condition: and below it status:",
            "f:33: spec.routes[8].responseClasses[4].condition.all: is empty; leave it out",
            'f:34: spec.retryBudget.retryRatio: "-1" is no ratio; write a number such as 0.2',
            'f:36: spec.dstOverrides[0].authority: "a b" is no authority; write one such as '
            "web-v2.shop.svc.cluster.local:80",
            'f:37: spec.dstOverrides[1].weight: "-1" is negative; write a number such as 90, or 900m',
            "f:39: spec.dstOverrides[3].authority: is missing; write that of a service, such as "
            "web-v2.shop.svc.cluster.local:80",
            'f:40: spec.dstOverrides[4].authority: "c:99999" is no authority: its port is none',
            *(
                f'f:41: spec.opaquePorts[{n}]: "{ports}" is no port; write one such as "3306", or a range such as '
                '"4000-4010"'
                for n, ports in enumerate(("0", "x", "5-3"))
            ),
        )

    def test_same_name(self) -> None:
        """Two routes of one name, which could not be told apart in metrics, are told apart, and of."""
        pages = self.read(SP + "  routes:\n" + "  - {name: a, condition: {method: GET}}\n" * 2)
        self.assertEqual(
            ['f:9: warning: spec.routes[1]: the name "a" is that of the route in line 8, too; give it its own'],
            [str(one) for one in pages.problems],
        )
        (found,) = pages.described
        assert isinstance(found, OfService)
        self.assertEqual(["a", "a (2)"], [route.name for route in found.profile.routes])

    def test_no_host(self) -> None:
        """A profile is somebody's."""
        text = EVERYTHING.replace("web.shop.svc.cluster.local\n  namespace", '"web shop"\n  namespace')
        self.says(
            text,
            'f:4: metadata.name: "web shop" is no host name; write that of the service: web.shop.svc.cluster.local',
        )

    def test_no_weight(self) -> None:
        """All of them zero, or one twice, is an error."""
        self.says(
            SP + "  dstOverrides: [{authority: a, weight: 0}, {authority: b, weight: '0'}]\n",
            "f:7: spec.dstOverrides: have no weight at all: nobody would be asked; give one of them a weight",
        )
        self.says(
            SP + "  dstOverrides: [{authority: a, weight: 1}, {authority: a, weight: 1}]\n",
            'f:7: spec.dstOverrides: "a" is given twice; give it the sum of both weights',
        )

    def test_deep(self) -> None:
        """Conditions in conditions in conditions are refused at last."""
        deep = "{method: GET}"
        for _ in range(20):
            deep = f"{{not: {deep}}}"
        pages = self.read(SP + f"  routes: [{{name: a, condition: {deep}}}]\n")
        self.assertIn("is nested more than 16 deep", str(pages.problems[0]))

    def test_many(self) -> None:
        """There may be as many routes as in TOML."""
        text = SP + "  routes:\n" + "".join(f"  - {{name: r{n}, condition: {{method: GET}}}}\n" for n in range(10_001))
        self.says(text, "f:7: spec.routes: are more than 10000 routes")
