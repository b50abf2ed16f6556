# -*- test-case-name: tests.profiles.test_filters -*-
"""
Filters of the Gateway API.
"""

from __future__ import annotations

from lproxy.profile import Fields, Redirect, Rewrite, Route
from tests.profiles.case import HTTP, PagesTestCase, indented

PREFIX = "  rules:\n  - matches: [{path: {value: /a}}]\n    filters:\n"


class FilterTests(PagesTestCase):
    def route(self, filters: str) -> Route:
        ((_, route),) = self.routes(HTTP + PREFIX + indented(filters, 4)).ranked
        return route

    def wrong(self, filters: str, *said: str, head: str = PREFIX) -> None:
        pages = self.read(HTTP + head + indented(filters, 4))
        self.assertEqual(list(said), [str(one).partition(": ")[2] for one in pages.problems])

    def test_fields(self) -> None:
        """Fields of requests and of answers are set, added and removed."""
        route = self.route(
            """
            - type: RequestHeaderModifier
              requestHeaderModifier:
                set: [{name: X-A, value: "1"}]
                add: [{name: x-b, value: "2"}]
                remove: [X-C]
            - type: ResponseHeaderModifier
              responseHeaderModifier: {remove: [server]}
            """
        )
        self.assertEqual(Fields((("x-a", "1"),), (("x-b", "2"),), ("x-c",)), route.request)
        self.assertEqual(Fields(remove=("server",)), route.response)

    def test_rewrite(self) -> None:
        """The host, and the path or the prefix that matched, are others upstream."""
        prefix = "path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}"
        for text, rewrite in (
            (f"{{hostname: b.example, {prefix}}}", Rewrite(prefix="/b", host="b.example")),
            ("{path: {type: ReplaceFullPath, replaceFullPath: /c}}", Rewrite(path="/c")),
            ('{path: {type: ReplacePrefixMatch, replacePrefixMatch: ""}}', Rewrite(prefix="")),
        ):
            self.assertEqual(rewrite, self.route(f"- {{type: URLRewrite, urlRewrite: {text}}}").rewrite)

    def test_redirect(self) -> None:
        """So are they, and scheme, port and status, where a client is sent."""
        for text, redirect in (
            ("{}", Redirect()),
            (
                "{scheme: https, hostname: b.example, port: 8443, statusCode: 301, path: {type: ReplaceFullPath, "
                "replaceFullPath: /c}}",
                Redirect(301, "https", "b.example", 8443, "/c"),
            ),
            ("{path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}", Redirect(prefix="/b")),
        ):
            self.assertEqual(redirect, self.route(f"- {{type: RequestRedirect, requestRedirect: {text}}}").redirect)

    def test_not_done(self) -> None:
        """What lproxy does not do is told: a mirror is left out, the rest is an error."""
        self.wrong(
            """
            - type: RequestMirror
              requestMirror: {backendRef: {name: a, port: 80}}
            - type: CORS
              cors: {}
            - type: ExtensionRef
              extensionRef: {}
            - type: ExternalAuth
            """,
            "warning: spec.rules[0].filters[0]: is left out: lproxy mirrors no requests",
            "spec.rules[0].filters[1]: lproxy does no CORS; CORS stays the application's affair",
            "spec.rules[0].filters[2]: lproxy does no ExtensionRef; extensions are each implementation's own, and "
            "lproxy "
            "has none",
            "spec.rules[0].filters[3]: lproxy does no ExternalAuth; whom a service is for, allow and deny say",
        )

    def test_wrong(self) -> None:
        """What is wrong is said where it stands."""
        for filters, said in (
            (
                "- {type: UrlRewrite}",
                'spec.rules[0].filters[0].type: "UrlRewrite" is unknown; did you mean "URLRewrite"?',
            ),
            ("- {type: URLRewrite}", "spec.rules[0].filters[0].urlRewrite: is missing"),
            (
                "- {type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: Host, value: a}]}}",
                'spec.rules[0].filters[0].requestHeaderModifier.set[0].name: "Host" is changed by a rewrite\'s host',
            ),
            (
                '- {type: RequestHeaderModifier, requestHeaderModifier: {add: [{name: a, value: "a\\nb"}]}}',
                'spec.rules[0].filters[0].requestHeaderModifier.add[0].value: "a\\nb" has control characters in it',
            ),
            (
                "- {type: RequestRedirect, requestRedirect: {statusCode: 304}}",
                "spec.rules[0].filters[0].requestRedirect.statusCode: 304 is no redirect; they are 301, 302, 303, 307, "
                "308",
            ),
            (
                "- {type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: c}}}",
                'spec.rules[0].filters[0].urlRewrite.path.replaceFullPath: "c" does not begin with /',
            ),
            (
                "- {type: RequestRedirect, requestRedirect: {}}\n- {type: URLRewrite, urlRewrite: {hostname: b}}",
                "spec.rules[0].filters: have a URLRewrite and a RequestRedirect; leave out one of them",
            ),
            (
                "- {type: URLRewrite, urlRewrite: {hostname: b}}\n- {type: URLRewrite, urlRewrite: {hostname: c}}",
                "spec.rules[0].filters[1]: a second URLRewrite; write one of each type",
            ),
        ):
            self.wrong(filters, said)

    def test_no_prefix(self) -> None:
        """A prefix can only be replaced where one has matched."""
        self.wrong(
            "- {type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /b}}}",
            "spec.rules[0].filters[0].urlRewrite.path: has a prefix to be replaced, and a match of the rule is of "
            "none; "
            "match by PathPrefix",
            head=PREFIX.replace("{value", "{type: Exact, value"),
        )
