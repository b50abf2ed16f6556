# -*- test-case-name: tests.app.test_draining -*-
"""
L{lproxy.app.draining}: one process asks another that drains, by real sockets.
"""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path
from typing import Any

from twisted.internet import reactor as real
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from lproxy.app.draining import NAME, Draining, Left
from lproxy.app.workers import sibling

reactor: Any = real


class DrainingTests(TestCase):
    """The old one, and the new."""

    def setUp(self) -> None:
        # nobody else's
        self.admin = (f"127.0.0.1-{secrets.token_hex(4)}", 4191)
        self.old = Draining(lambda: Left(3, 2), reactor)
        self.new = Draining(lambda: Left(0, 0), reactor)
        self.addCleanup(self.old.stop)

    async def looked(self, page: str = "") -> list[dict[str, Any]]:
        await self.new.look(page, self.admin)
        return self.new.rows

    def test_told(self) -> Deferred[None]:
        """From when its place is given until its end, what it has left to do is known; at other times nothing."""

        async def go() -> None:
            self.assertEqual([], await self.looked())
            self.old.begin(self.admin, 25.0)
            (row,) = await self.looked("events")
            self.assertGreaterEqual(row.pop("seconds"), 0.0)
            self.assertEqual({"pid": os.getpid(), "connections": 3, "in_flight": 2, "within": 25.0}, row)
            self.assertEqual(1, len(await self.looked("metrics")), "which is not asked for that")
            await self.old.stop()
            self.assertEqual([], await self.looked("overview.json"))

        return Deferred.fromCoroutine(go())

    def test_others(self) -> Deferred[None]:
        """Whoever drains in another one's place, says nothing of use, or is another user's, is none of ours."""

        async def go() -> None:
            for port, said in (
                (1, b""),
                (4191, b'{"draining": "x"}'),
                (4191, b'{"draining": {"pid": 1}}'),
                (4191, b"no"),
            ):
                name = f"{NAME}{self.admin[0]}:{port}-{secrets.token_hex(4)}"
                server = socket.socket(socket.AF_UNIX)
                self.addCleanup(server.close)
                server.bind(f"\0{name}")
                server.listen()
                reactor.callInThread(self.answer, server, said)
            self.patch(sibling, "PATIENCE", 0.5)
            self.assertEqual([], await self.looked())
            self.old.begin(self.admin, 25.0)
            self.assertEqual(1, len(await self.looked()))
            self.patch(sibling, "same_user", lambda sock: False)
            self.assertEqual([], await self.looked())

        return Deferred.fromCoroutine(go())

    def answer(self, server: socket.socket, said: bytes) -> None:
        """Once."""
        server.settimeout(1.0)
        try:
            with server.accept()[0] as client:
                client.sendall(said)
        except OSError:
            pass

    def test_unknown(self) -> Deferred[None]:
        """Where a system does not tell what sockets there are, or there is no admin server, nobody drains."""

        async def go() -> None:
            self.old.begin(self.admin, 25.0)
            blind = Draining(lambda: Left(0, 0), reactor, Path("/nowhere"))
            await blind.look("", self.admin)
            await self.new.look("", None)
            self.assertEqual(([], []), (blind.rows, self.new.rows))

        return Deferred.fromCoroutine(go())
