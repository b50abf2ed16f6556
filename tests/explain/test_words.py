# -*- test-case-name: tests.explain.test_words -*-
"""
Profiles in words.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.explain import words
from lproxy.profile import (
    ALWAYS,
    All,
    Answer,
    AnyOf,
    Backend,
    Fields,
    Header,
    Hedge,
    Method,
    Not,
    Path,
    Profile,
    Query,
    Rate,
    Redirect,
    ResponseClass,
    Retries,
    RetryBudget,
    Rewrite,
    Route,
    RouteTimeouts,
    Statuses,
    Sticky,
)


class WordsTests(SynchronousTestCase):
    def test_conditions(self) -> None:
        """Each condition is a phrase; what has parts stands in brackets within others."""
        for condition, text in (
            (Method("GET"), "method GET"),
            (Path("/a"), "path is /a"),
            (Path("/a", "prefix"), "path is /a or below"),
            (Path("/", "prefix"), "path begins with /"),
            (Path("/a.*", "regex"), "path matches /a.*"),
            (Header("x"), "has x"),
            (Header("x", "1"), "x is 1"),
            (Header("x", "1|2", "regex"), "x matches 1|2"),
            (Query("q", "1"), "parameter q is 1"),
            (Query("q", "(?s).*", "regex"), "has the parameter q"),
            (Statuses(404, 404), "status 404"),
            (Statuses(500, 599), "status 500 to 599"),
            (ALWAYS, "every request"),
            (Not(Method("GET")), "not method GET"),
            (Not(AnyOf((Method("GET"), Path("/")))), "not (method GET or path is /)"),
            (
                All((Method("GET"), AnyOf((Path("/a"), Not(Header("x")))))),
                "method GET and (path is /a or not has x)",
            ),
        ):
            self.assertEqual(text, words.condition(condition))

    def test_several(self) -> None:
        """One is one."""
        self.assertEqual(["0 routes", "1 route", "2 routes"], [words.several(count, "route") for count in range(3)])

    def test_policies(self) -> None:
        """What is done about a route's requests, each thing once."""
        self.assertEqual([], list(words.policies(Route("a"))))
        route = Route(
            "a",
            classes=(ResponseClass(Statuses(404, 404)), ResponseClass(Statuses(500, 500), False)),
            retries=Retries(4, statuses=((503, 503), (500, 502)), grpc=(14,)),
            timeouts=RouteTimeouts(1.0, 2.0, 0.5),
            hedge=Hedge(),
            backends=(Backend("a", 2), Backend("b", 1)),
            request=Fields((("x-a", "1"),), (("x-b", "2"),), ("x-c",)),
            response=Fields(remove=("server",)),
            rewrite=Rewrite(prefix="", host="b.example"),
            max_body=1024,
            rates=(Rate(10, burst=5, by="header", header="x-k"), Rate(1, 60.0)),
        )
        self.assertEqual(
            [
                ("backends", "a 66.67 %, b 33.33 %"),
                ("timeouts", "2s in all, 1s to the head of the answer, 500ms for one try"),
                (
                    "retries",
                    "4 tries at most where the answer is a failure or on 503, 500 to 502 or on gRPC unavailable; "
                    "idempotent methods, bodies up to 64KiB",
                ),
                ("hedge", "a second try after what 95 % are answered in, 5ms at least"),
                ("failures", "status 404"),
                ("no failures", "status 500"),
                ("rewrite", "nothing in the prefix's place, host b.example"),
                ("request fields", "x-c removed, x-a: 1, x-b: 2 added"),
                ("response fields", "server removed"),
                ("body", "1KiB at most"),
                ("rate", "10 in 1s of each value of x-k, 5 at once"),
                ("rate", "1 in 1m"),
            ],
            list(words.policies(route)),
        )
        few = words.retries(Retries(2, False, unsafe=True, body=1))
        self.assertEqual("2 tries at most; any method, bodies up to 1 bytes", few)
        answer = Route("a", answer=Answer(503, "hi", "text/html"))
        self.assertEqual([("answer", "503, 2 bytes of text/html")], list(words.policies(answer)))
        self.assertEqual([("redirect", "302: to the same")], list(words.policies(Route("a", redirect=Redirect()))))
        self.assertEqual(
            "301: scheme https, host b, port 8443, /x in the prefix's place",
            words.redirected(Redirect(301, "https", "b", 8443, prefix="/x")),
        )
        self.assertEqual("path /a", words.rewritten(Rewrite("/a")))

    def test_service(self) -> None:
        """And about all of a service's."""
        profile = Profile(
            backends=(Backend("a", 9), Backend("b", 1)),
            sticky=Sticky(cookie="session"),
            budget=RetryBudget(0.25, 2.0, 30.0),
            rates=(Rate(5, by="client"),),
            opaque_ports=frozenset((3306, 25)),
        )
        self.assertEqual(
            [
                ("backends", "a 90 %, b 10 %"),
                ("sticky", "by the cookie session"),
                ("retry budget", "25 % of the requests of 30s, and 2 a second"),
                ("rate", "5 in 1s of each client's address"),
                ("opaque", "25, 3306"),
            ],
            list(words.service(profile)),
        )
        self.assertEqual([], list(words.service(Profile())))
