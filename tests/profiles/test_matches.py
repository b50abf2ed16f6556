# -*- test-case-name: tests.profiles.test_matches -*-
"""
Matches of the Gateway API, and their precedence.
"""

from __future__ import annotations

from lproxy.configfile.problem import show
from lproxy.profile import All, Condition, Header, Method, Path, Query
from tests.profiles.case import GRPC, HTTP, PagesTestCase, indented


class MatchTests(PagesTestCase):
    def conditions(self, matches: str, head: str = HTTP) -> list[Condition]:
        text = head + "  rules:\n  - matches:\n" + indented(matches, 4)
        return [route.condition for _, route in self.routes(text).ranked]

    def order(self, matches: str, head: str = HTTP) -> list[int]:
        """The numbers of C{matches}, the most specific first."""
        text = (
            head
            + "  rules:\n"
            + "".join(f"  - matches: [{{{match.strip()}}}]\n" for match in matches.strip().split("\n"))
        )
        ranked = self.routes(text).ranked
        names = [route.name for _, route in sorted(ranked, key=lambda one: one.rank)]
        return [int(name.partition("[")[2].partition("]")[0]) for name in names]

    def test_http(self) -> None:
        """Paths, methods, fields and parameters; all of a match have to fit."""
        self.assertEqual(
            [
                Path("/a"),
                Path("/b", "prefix"),
                Path("/c/.*", "regex"),
                Path("/d", "prefix"),
                All((Method("GET"), Path("/e"), Header("x-a", "1"), Header("x-b", "a.*", "regex"), Query("q", "2"))),
                Path("/", "prefix"),
                Method("PUT"),
            ],
            self.conditions(
                """
                - path: {type: Exact, value: /a}
                - path: {type: PathPrefix, value: /b}
                - path: {type: RegularExpression, value: /c/.*}
                - path: {value: /d}
                - path: {type: Exact, value: /e}
                  method: GET
                  headers: [{name: X-A, value: "1"}, {type: RegularExpression, name: x-b, value: a.*}]
                  queryParams: [{name: q, value: "2"}]
                - {}
                - method: PUT
                """
            ),
        )

    def test_grpc(self) -> None:
        """A call is a path: of service and method, or of one of them."""
        self.assertEqual(
            [
                Path("/books.Books/Get"),
                Path("/books.Books", "prefix"),
                Path("/[^/]+/Get", "regex"),
                Path("/(?:books\\..*)/(?:Get|List)", "regex"),
                Path("/[^/]+/(?:Get)", "regex"),
                Header("x", "1"),
                Path("/", "prefix"),
            ],
            self.conditions(
                """
                - method: {service: books.Books, method: Get}
                - method: {service: books.Books}
                - method: {method: Get}
                - method: {type: RegularExpression, service: 'books\\..*', method: Get|List}
                - method: {type: RegularExpression, method: Get}
                - headers: [{name: x, value: "1"}]
                - {}
                """,
                GRPC,
            ),
        )

    def test_precedence(self) -> None:
        """The most specific match comes first, whatever the order of the file; of equals, the first."""
        self.assertEqual(
            [5, 4, 3, 9, 7, 6, 8, 2, 1, 0],
            self.order(
                """
                path: {value: /}
                path: {value: /a}
                path: {value: /a/b}
                path: {type: RegularExpression, value: /a/.*}
                path: {type: RegularExpression, value: /abc/.*}
                path: {type: Exact, value: /a}
                path: {value: /a/b}, method: GET
                path: {value: /a/b}, method: GET, headers: [{name: x, value: "1"}]
                path: {value: /a/b}, headers: [{name: x, value: "1"}, {name: y, value: "1"}]
                path: {value: /a/b}, method: GET, headers: [{name: x, value: "1"}], queryParams: [{name: q, value: "1"}]
                """
            ),
        )
        self.assertEqual([0, 1], self.order("path: {value: /a}\npath: {value: /a}"))

    def test_precedence_grpc(self) -> None:
        """Of calls, the longest service, then the longest method, then more fields."""
        self.assertEqual(
            [2, 3, 1, 4, 0],
            self.order(
                """
                headers: [{name: x, value: "1"}]
                method: {service: a.B}
                method: {service: a.Bc, method: Get}
                method: {service: a.B, method: Get}
                method: {method: GetAll}
                """,
                GRPC,
            ),
        )

    def test_expressions_of_calls(self) -> None:
        """An expression comes after names, however long it is; who names a method alone, after who names services."""
        self.assertEqual(
            [2, 0, 3, 4, 1],
            self.order(
                """
                method: {type: RegularExpression, service: "a[.].*long.*", method: ".*"}
                method: {type: RegularExpression, method: "Get.*"}
                method: {service: a.B}
                method: {method: Get}
                headers: [{name: x, value: "1"}]
                """,
                GRPC,
            ),
        )

    def test_first_counts(self) -> None:
        """Of several fields of a name the API looks at the first, and so do we; that is told."""
        text = HTTP + "  rules:\n  - matches: [{headers: [{name: a, value: b}, {name: A, value: c}]}]\n"
        self.assertEqual(
            ["f:9: warning: spec.rules[0].matches[0].headers[1]: is not looked at: the first of the name counts"],
            [str(one) for one in self.read(text).problems],
        )

    def test_wrong(self) -> None:
        """What is wrong is said where it stands."""
        self.says(
            HTTP
            + indented(
                """
                rules:
                - matches: [{path: {type: Prefix, value: /a}}]
                - matches: [{path: {value: a}}]
                - matches: [{path: {value: "/a?b"}}]
                - matches: [{path: {value: "/a#b"}}]
                - matches: [{path: {type: RegularExpression, value: "("}}]
                - matches: [{method: get}]
                - matches: [{headers: [{name: "a b", value: x}]}]
                - matches: [{headers: [{name: a}]}]
                - matches: [{pth: {value: /a}}]
                """
            ),
            'f:9: spec.rules[0].matches[0].path.type: "Prefix" is unknown; did you mean "PathPrefix"?',
            'f:10: spec.rules[1].matches[0].path.value: "a" does not begin with /; write "/a"',
            'f:11: spec.rules[2].matches[0].path.value: "/a?b" has a query, which a path does not; parameters are '
            "queryParams",
            'f:12: spec.rules[3].matches[0].path.value: "/a#b" has a fragment, which nobody is sent; write %23 where '
            "# is part of the path",
            'f:13: spec.rules[4].matches[0].path.value: "(" is none of RE2\'s: missing ): (',
            'f:14: spec.rules[5].matches[0].method: "get" is unknown; did you mean "GET"?',
            'f:15: spec.rules[6].matches[0].headers[0].name: "a b" is no name of a field',
            "f:16: spec.rules[7].matches[0].headers[0].value: is missing",
            'f:17: spec.rules[8].matches[0].pth: unknown field; did you mean "path"?',
        )
        self.says(
            GRPC + "  rules: [{matches: [{method: {}}, {method: {service: a/b}}]}]\n",
            "f:8: spec.rules[0].matches[0].method: has neither service nor method; write service: books.Books",
        )
        self.says(
            GRPC + "  rules: [{matches: [{method: {service: a/b}}]}]\n",
            'f:8: spec.rules[0].matches[0].method.service: "a/b" is no name of gRPC; write a service such as '
            "books.Books, and a method such as Get",
        )
        half = "a" * 2500
        self.says(
            GRPC
            + f"  rules: [{{matches: [{{method: {{type: RegularExpression, service: {half}, method: {half}}}}}]}}]\n",
            f"f:8: spec.rules[0].matches[0].method: {show(f'/(?:{half})/(?:{half})')} is longer than 4096 characters",
        )
