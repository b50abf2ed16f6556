# -*- test-case-name: tests.app.test_takeover -*-
"""
L{lproxy.app.takeover}: a process's side of a takeover; L{tests.integration.test_takeover} has whole processes.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from lproxy.app import takeover as module
from lproxy.app.binder import Direct
from lproxy.app.restart import Again
from lproxy.app.sockets import Wanted
from lproxy.app.takeover import Pidfile, Takeover, append, door_of
from lproxy.supervise import handover
from lproxy.supervise.handover import CannotTakeOver

WEB = Wanted("web", "127.0.0.1:0")


@contextlib.contextmanager
def admin(answer: bytes) -> Iterator[str]:
    """An admin server that says C{answer} whatever it is asked."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        thread.join()


class DoorTests(SynchronousTestCase):
    """Where to ask."""

    def test_asked(self) -> None:
        """The admin server says where; a door is one already."""
        with admin(json.dumps({"live": {"takeover": "@lproxy-1"}}).encode()) as address:
            self.assertEqual("@lproxy-1", door_of(address))
        with admin(json.dumps({"live": {"takeover": "@lproxy-1"}}).encode()) as address:
            self.assertEqual("@lproxy-1", door_of(f"http://{address}/"))
        self.assertEqual("@lproxy-2", door_of("@lproxy-2"))

    def test_cannot(self) -> None:
        """Nobody there, somebody else there, or one that hands over nothing: that is said."""
        for answer in (b"", b"{}", b"[]", b"no JSON", b'{"live": {}}', b'{"live": {"takeover": null}}'):
            with admin(answer) as address:
                self.assertRaises(CannotTakeOver, door_of, address)
        error = self.assertRaises(CannotTakeOver, door_of, "127.0.0.1:1")
        self.assertIn("127.0.0.1:1 cannot be asked where it hands over: ", str(error))


class PidfileTests(SynchronousTestCase):
    """twistd's file."""

    def test_given_and_taken(self) -> None:
        """What is given twistd does not remove any more; what is taken has our process in it, and twistd removes it."""
        options: dict[str, Any] = {"pidfile": "twistd.pid"}
        pidfile = Pidfile(options)
        self.assertEqual(os.path.abspath("twistd.pid"), pidfile.path)
        pidfile.give()
        self.assertEqual(("", ""), (pidfile.path, options["pidfile"]))
        path = self.mktemp()
        pidfile.take(path)
        self.assertEqual((str(os.getpid()), path), (Path(path).read_text(), options["pidfile"]))
        self.assertEqual("", Pidfile(None).path)


class AppendTests(SynchronousTestCase):
    """Two processes write one log."""

    def test_append(self) -> None:
        """What was opened to be written anywhere is written at the end, wherever another process has got to."""
        path = Path(tempfile.mkdtemp()) / "log"
        path.write_text("one\n")
        with path.open("rb+", 0) as ours:
            ours.seek(0, 2)
            append(str(path))
            with path.open("ab", 0) as theirs:
                theirs.write(b"two\n")
            ours.write(b"three\n")
        self.assertEqual("one\ntwo\nthree\n", path.read_text())


class TakeoverTests(TestCase):
    """Two processes, as far as they know."""

    def takeover(self, start: Again | None = None) -> tuple[Direct, Takeover, dict[str, Any]]:
        binder, options = Direct(reactor), {"pidfile": ""}
        return binder, Takeover(binder, Pidfile(options), start or Again([]), {}, reactor), options

    def test_whole(self) -> Deferred[None]:
        """The next one has the socket and the pidfile, and each is told of it once."""

        async def go() -> None:
            old_binder, old, old_options = self.takeover()
            old_options["pidfile"] = self.mktemp()
            (bound,) = old_binder.bind(WEB)
            pids: list[int] = []
            old.open(pids.append)
            new_binder, new, new_options = self.takeover()
            await deferToThread(new.take, old.door.name)
            (theirs,) = new_binder.bind(WEB)
            self.assertEqual(bound.sock.getsockname(), theirs.sock.getsockname())
            self.assertEqual(([], True), (pids, new.door.early))
            done: Deferred[bool] = Deferred()
            new.serving(done.callback)
            self.assertTrue(await done)
            self.assertFalse(new.door.early)
            self.assertEqual(([os.getpid()], ""), (pids, old_options["pidfile"]))
            self.assertEqual(str(os.getpid()), Path(new_options["pidfile"]).read_text())
            bound.release()
            self.assertNotEqual(-1, bound.sock.fileno())
            theirs.release()
            bound.sock.close()
            for one in (old, new):
                one.close()

        return Deferred.fromCoroutine(go()).addBoth(self.without_looks)

    def test_alone(self) -> None:
        """Who takes nobody's place serves at once."""
        done: list[bool] = []
        self.takeover()[1].serving(done.append)
        self.assertEqual([True], done)

    def test_upgrade(self) -> Deferred[None]:
        """Another one is started that knows where to ask, in our log's file, and but one at a time."""

        async def go() -> None:
            self.patch(module, "LOOK", 0.01)
            log = self.mktemp()
            start = Again(["/bin/sh", "-c", 'echo "$@"; sleep 0.2; exit 3', "x"], log)
            _, takeover, _ = self.takeover(start)
            said: list[str] = []
            self.patch(module.log, "error", lambda line, /, **more: said.append(line.format(**more)))
            takeover.open(lambda pid: None)
            takeover.upgrade()
            first = takeover._successor
            takeover.upgrade()
            assert first is not None
            self.assertEqual([f"process {first.pid} is about to take our place already"], said)
            ended: Deferred[None] = Deferred()

            def look() -> None:
                if takeover._successor is None:
                    ended.callback(None)
                else:
                    reactor.callLater(0.01, look)  # type: ignore[attr-defined]

            look()
            await ended
            takeover.close()
            failed = f"process {first.pid}, which was to take our place, ended with status 3: we serve on"
            self.assertEqual([failed], said[1:])
            self.assertEqual(f"--takeover {takeover.door.name}\n", Path(log).read_text())

        return Deferred.fromCoroutine(go())

    def test_recalled(self) -> None:
        """Who is told to end means it: whom it started to take its place ends, unless that serves already."""
        self.patch(Takeover, "_look", lambda takeover: None)
        self.patch(module, "LOOK", 0.0)
        for given, ended in ((False, -signal.SIGTERM), (True, None)):
            binder, takeover, _ = self.takeover(Again(["/bin/sh", "-c", "exec sleep 5"]))
            takeover.upgrade()
            successor = takeover._successor
            assert successor is not None
            binder.given = given
            takeover.close()
            if ended is not None:
                self.assertEqual(ended, successor.wait(5.0))
            else:
                self.assertRaises(subprocess.TimeoutExpired, successor.wait, 0.05)
                successor.kill()
                successor.wait()

    def test_not_recalled(self) -> Deferred[None]:
        """
        One that somebody else has started goes on where we are told to end: what it was given is its own, and so is a
        pidfile that it has written.
        """

        async def go() -> None:
            binder, old, options = self.takeover()
            (bound,) = binder.bind(WEB)
            old.open(lambda pid: None)
            new_binder, new, _ = self.takeover()
            await deferToThread(new.take, old.door.name)
            old.close()
            self.assertTrue(binder.given)
            bound.release()
            self.assertNotEqual(-1, bound.sock.fileno())
            options["pidfile"] = self.mktemp()
            Path(options["pidfile"]).write_text("1")
            self.assertEqual((os.getpid(), 0), (old.over(), old.over()))
            self.assertEqual("", options["pidfile"])
            done: Deferred[bool] = Deferred()
            new.serving(done.callback)
            self.assertTrue(await done)
            bound.sock.close()
            new.close()

        return Deferred.fromCoroutine(go()).addBoth(self.without_looks)

    def without_looks(self, result: Any) -> Any:
        """Nobody looks any more."""
        for call in reactor.getDelayedCalls():  # type: ignore[attr-defined]
            if "_look" in repr(call.func):
                call.cancel()
        return result

    def test_given_up(self) -> Deferred[None]:
        """One that hangs is given up, whoever has started it: another may try then."""

        async def go() -> None:
            self.patch(module, "LOOK", 0.01)
            self.patch(handover, "STARTING", 0.05)
            _, old, _ = self.takeover()
            old.open(lambda pid: None)
            for _ in range(2):
                _, new, _ = self.takeover()
                await deferToThread(new.take, old.door.name)
                while old.door.asking:
                    await deferLater(reactor, 0.01)
                done: Deferred[bool] = Deferred()
                new.serving(done.callback)
                self.assertFalse(await done)
            old.close()

        return Deferred.fromCoroutine(go())

    def test_cannot_upgrade(self) -> None:
        """Where no other can be started the log says so."""
        _, takeover, _ = self.takeover(Again(["/nowhere/lproxy"]))
        said: list[str] = []
        self.patch(module.log, "error", lambda text, **more: said.append(text.format(**more)))
        takeover.upgrade()
        self.assertIn("no other lproxy can be started: ", said[0])
