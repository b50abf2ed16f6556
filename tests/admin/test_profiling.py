# -*- test-case-name: tests.admin.test_profiling -*-
"""
L{lproxy.admin.profiling}: the commands of the profile port.
"""

from __future__ import annotations

import json
import re
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.admin import profiling
from lproxy.admin.profiling import profile_site
from lproxy.admin.sampler import Sampler
from tests.admin.case import AdminCase


class SiteTests(AdminCase):
    """The commands."""

    def setUp(self) -> None:
        self.sampler = Sampler(lambda: 0)
        self.acts: list[str] = []
        self.patch(self.sampler, "start", lambda: self.acts.append("start"))
        self.patch(self.sampler, "stop", lambda: self.acts.append("stop"))
        self.patch(self.sampler, "folded", lambda: "a;b 5")
        super().setUp()

    def make(self, settings: Any, host: str) -> Any:
        """In place of the admin server's."""
        site = profile_site(self.sampler, lambda: self.acts.append("shutdown"))
        site.reactor = self.clock
        return site

    def test_commands(self) -> None:
        """Start, stop with the stacks, stacks, stats, a page that says so."""
        self.assertEqual((200, "sampling\n"), self.said("POST /start"))
        self.assertEqual((200, "a;b 5\n"), self.said("GET /stacks"))
        self.assertEqual((200, "a;b 5\n"), self.said("POST /stop"))
        self.assertEqual(["start", "stop"], self.acts)
        self.assertEqual(0, json.loads(self.said("GET /stats")[1])["samples"])
        status, text = self.said("GET /")
        self.assertEqual((200, 5), (status, len(re.findall(r"^(GET|POST) /\w+", text, re.MULTILINE))))

    def said(self, request: str) -> tuple[int, str]:
        answer = self.ask(request)
        return answer.status, answer.text

    def test_protected(self) -> None:
        """As on the admin server: by POST only, not from another machine, a web page or under a name made up."""
        for name in ("start", "stop", "quit"):
            for status, answer in (
                (405, self.ask(f"GET /{name}")),
                (403, self.ask(f"POST /{name}", peer="192.0.2.1")),
                (403, self.ask(f"POST /{name}", "Origin: http://evil.example")),
                (403, self.ask(f"POST /{name}", host="evil.example")),
            ):
                self.assertEqual(status, answer.status)
        self.assertEqual([], self.acts)


class FakeRequest:
    """What is written."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def write(self, data: bytes) -> None:
        self.calls.append(data)

    def unregisterProducer(self) -> None:
        self.calls.append("unregister")

    def finish(self) -> None:
        self.calls.append("finish")


class LastTests(SynchronousTestCase):
    """The answer that ends the proxy."""

    def test_whole(self) -> None:
        """Nothing ends before the last piece has gone."""
        request, content = FakeRequest(), bytes(range(256)) * 600
        last = profiling._Last(request, content, lambda: request.calls.append("shutdown"))
        for n in (1, 2, 3):
            last.resumeProducing()
            self.assertEqual(n, len(request.calls))
        self.assertEqual(content, b"".join(request.calls))
        last.resumeProducing()
        self.assertEqual(["unregister", "finish", "shutdown"], request.calls[3:])

    def test_gone(self) -> None:
        """A client that does not wait for the answer has told the proxy to end all the same."""
        request = FakeRequest()
        profiling._Last(request, b"x", lambda: request.calls.append("shutdown")).stopProducing()
        self.assertEqual(["shutdown"], request.calls)
