# -*- test-case-name: tests.protocols.http.test_request_id -*-
"""
L{lproxy.protocols.http.request_id}: X-Request-Id.
"""

from __future__ import annotations

import re

from tests.protocols.http.harness import GET, OK, HttpTestCase, get, ok

UUID = rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


class RequestIdTests(HttpTestCase):
    """As the listener says."""

    def ids(self, heard: bytes) -> list[bytes]:
        """Those that C{heard} has."""
        return re.findall(rb"(?im)^x.request.id: (.*)\r$", heard)

    def sent(self, *fields: str) -> list[bytes]:
        """With which ids the upstream is asked, and the access log's is one of them."""
        client = self.client(get("/", *fields))
        ids = self.ids(self.heard(self.up))
        self.say(self.up, ok(b"ok", "X-Request-Id: theirs"))
        self.answer = self.heard(client)
        self.assertEqual(ids[0].decode() if ids else None, self.proxy.records[-1]["request_id"])
        return ids

    def test_pass(self) -> None:
        """It is a field as any other, where nothing else is configured."""
        self.assertEqual([], self.sent())
        self.assertEqual([b"a", b"b"], self.sent("X-Request-Id: a", "x-request-id: b"))
        self.assertEqual([b"theirs"], self.ids(self.answer))

    def test_keep(self) -> None:
        """The client's, where it is one that can be kept; else a new one."""
        self.start(listen={"request_id": "keep"})
        self.assertEqual([b"mine-1"], self.sent("x-request-id: mine-1"))
        seen = set()
        bad = ("X-Request-Id: a b", f"X-Request-Id: {'x' * 129}", "X-Request-Id:")
        two = ("X-Request-Id: a", "X-Request-Id: b"), ("X_Request_Id: a", "X-Request-Id: a")
        for fields in ((), *two, *((one,) for one in bad)):
            (made,) = self.sent(*fields)
            self.assertRegex(made, rb"\A%b\Z" % UUID)
            seen.add(made)
        self.assertEqual(6, len(seen))
        self.assertEqual([b"theirs"], self.ids(self.answer))

    def test_trusted(self) -> None:
        """Of clients from elsewhere none is kept."""
        self.start(listen={"request_id": "keep", "trusted": ("10.9.0.0/16",)})
        self.assertRegex(self.sent("X-Request-Id: a")[0], UUID)
        self.start(listen={"request_id": "keep", "trusted": ("10.0.0.0/8",)})
        self.assertEqual([b"a"], self.sent("X-Request-Id: a"))

    def test_generate(self) -> None:
        """Each request has a new one."""
        self.start(listen={"request_id": "generate"})
        (made,) = self.sent("X-Request-Id: a")
        self.assertRegex(made, rb"\A%b\Z" % UUID)

    def test_reply(self) -> None:
        """Where it is to be told, the answer has it once, whoever made the answer."""
        self.start(listen={"request_id": "keep", "request_id_reply": True})
        self.sent("X-Request-Id: mine")
        self.assertEqual([b"mine"], self.ids(self.answer))
        self.proxy.connector.mode = "refuse"
        self.up.hang_up()
        self.settle()
        client = self.client(get("/", "X-Request-Id: mine"))
        self.assertEqual([b"mine"], self.ids(self.heard(client)))

    def test_refused(self) -> None:
        """A request that goes nowhere has one, too, and the line about the failure."""
        self.start(listen={"request_id": "generate", "request_id_reply": True})
        self.proxy.connector.mode = "refuse"
        client = self.client(GET)
        (made,) = self.ids(self.heard(client))
        self.assertEqual(made.decode(), self.proxy.records[-1]["request_id"])
        self.assertTrue(self.proxy.warnings[-1].endswith(f" (request {made.decode()})"), self.proxy.warnings)

    def test_again(self) -> None:
        """A request that is sent twice is one."""
        self.start(listen={"request_id": "generate"})
        client = self.client(GET)
        first = self.ids(self.heard(self.up))
        self.say(self.up, OK)
        self.say(client, GET)
        second = self.ids(self.heard(self.up))
        self.up.reset()
        self.settle()
        self.assertEqual((1, second), (len(second), self.ids(self.heard(self.up))))
        self.assertNotEqual(first, second)
