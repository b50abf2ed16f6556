# -*- test-case-name: tests.app.workers.test_worker -*-
"""
L{lproxy.app.workers.worker}: a worker whose supervisor is a thread that answers, or the test itself.
"""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.reload import Outcome
from lproxy.app.sockets import CannotListen, Wanted
from lproxy.app.workers import worker as module
from lproxy.app.workers.portion import Portion
from lproxy.app.workers.worker import BEAT, NoSupervisor, Worker
from lproxy.supervise.channel import Channel, Gone, Message, connected, pair
from lproxy.supervise.places import listening

HELLO = {
    "index": 1,
    "workers": 2,
    "text": "a\xff",
    "name": "l.toml",
    "file": None,
    "level": "",
    "door": "@d",
    "well": True,
    "supervisor": 7,
}


class FakeReactor(Clock):
    """A clock that has readers."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.remove(reader)

    def look(self) -> None:
        """Read what has come."""
        for reader in list(self.readers):
            reader.doRead()


class FakeProxy:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def end(self) -> None:
        self.told.append("end")

    def shutdown(self) -> None:
        self.told.append("shutdown")

    def give(self) -> None:
        self.told.append("give")

    def reopen(self) -> None:
        self.told.append("reopen")

    def set_log_level(self, name: str) -> None:
        self.told.append(name)

    def reload_text(self, text: bytes) -> Deferred[Outcome]:
        self.told.append(text)
        return succeed(Outcome("applied", "it is live"))

    def refused(self) -> None:
        self.told.append("refused")

    def exposed(self, owner: str, note: str, key: str) -> None:
        self.told.append((owner, note, key))


class WorkerTests(SynchronousTestCase):
    """One worker."""

    def setUp(self) -> None:
        self.patch(module, "PATIENCE", 5.0)
        self.supervisor, theirs = pair()
        self.reactor, self.proxy = FakeReactor(), FakeProxy()
        fd = theirs.detach()
        ledger = os.memfd_create("ledger")
        self.worker: Worker = self.answered(lambda: Worker(connected(fd), self.reactor), HELLO, [ledger])[0]
        os.close(ledger)
        self.addCleanup(self.supervisor.close)
        self.addCleanup(self.worker.over)
        for one in self.worker.ledgers:
            self.addCleanup(os.close, one)

    def answered(self, f: Callable[[], Any], *answers: Any) -> tuple[Any, list[Message]]:
        """What C{f} returns, which asks for these: each values, and descriptors behind it. And what was asked."""
        asked: list[Message] = []
        pairs = list(zip(answers[::2], answers[1::2], strict=True))

        def answer(channel: Channel) -> None:
            for values, fds in pairs:
                found: list[Message] = []
                while not found:
                    channel.wait(5)
                    found = [m for m in channel.receive() if "ask" in m.values]
                asked.extend(found)
                channel.send({"do": "reopen"})
                channel.send({**values, "answer": found[0].values["ask"]}, fds)

        thread = threading.Thread(target=answer, args=(self.supervisor,))
        thread.start()
        try:
            return f(), asked
        finally:
            thread.join()

    def said(self) -> list[dict[str, Any]]:
        """What the supervisor hears."""
        return [message.values for message in self.supervisor.receive()]

    def test_hello(self) -> None:
        """It knows which one it is and what it is to do."""
        worker = self.worker
        self.assertEqual(Portion(1, 2), worker.portion)
        self.assertEqual((b"a\xff", "l.toml", "@d"), (worker.text, worker.name, worker.door))
        self.assertEqual(1, len(worker.ledgers))

    def test_beats(self) -> None:
        """From when the reactor runs it gives signs of life, until it is over."""
        self.worker.attach(self.proxy)
        self.reactor.pump([BEAT] * 3)
        self.assertEqual([{"do": "beat"}] * 4, self.said())
        self.worker.over()
        self.worker.over()
        self.assertEqual(([], []), (self.reactor.getDelayedCalls(), self.reactor.readers))

    def test_told(self) -> None:
        """It does what it is told, also what came while it waited for something else."""
        self.worker.attach(self.proxy)
        self.assertEqual(["reopen"], self.proxy.told)
        for values in (
            {"do": "shutdown"},
            {"do": "hurry"},
            {"do": "given"},
            {"do": "level", "level": "debug"},
            {"do": "exposed", "owner": "kafka 1", "note": "n", "place": "127.0.0.1:1", "shared": False},
            {"do": "refused"},
            {"do": "reload", "ask": 3, "text": "b\xff"},
        ):
            self.supervisor.send(values)
        self.reactor.look()
        told = ["reopen", "shutdown", "end", "give", "debug", ("kafka 1", "n", "127.0.0.1:1")]
        told += ["refused", b"b\xff"]
        self.assertEqual(told, self.proxy.told)
        self.assertIn({"do": "answer", "number": 3, "word": "applied", "text": "it is live"}, self.said())

    def test_cannot(self) -> None:
        """What it cannot do is logged, and costs nothing else."""
        self.worker.attach(self.proxy)
        self.supervisor.send({"do": "dance"})
        self.supervisor.send({"do": "shutdown"})
        self.reactor.look()
        self.assertEqual("shutdown", self.proxy.told[-1])
        self.assertEqual(1, len(self.flushLoggedErrors(KeyError)))

    def test_says(self) -> None:
        """It says that it serves, by whom it is held, and that it ends, with some time to spare."""
        self.worker.serving(10.0, 25.0)
        self.worker.held("held by lproxy")
        self.worker.stopping(25.0)
        told = [
            {"do": "serving", "hung": 10.0, "ending": 30.0, "at": self.worker.answers_at},
            {"do": "held", "text": "held by lproxy"},
            {"do": "stopping", "within": 30.0},
        ]
        self.assertEqual(told, self.said())

    def test_ask(self) -> None:
        """A question is answered in its time; one that was given up is answered to nobody."""
        self.worker.attach(self.proxy)
        first: Deferred[Any] = self.worker.ask({"do": "table"})
        second: Deferred[Any] = self.worker.ask({"do": "table"})
        numbers = [values["ask"] for values in self.said() if "ask" in values]
        second.cancel()
        self.failureResultOf(second)
        for number in numbers:
            self.supervisor.send({"answer": number, "workers": []})
        self.reactor.look()
        self.assertEqual([], self.successResultOf(first)["workers"])

    def test_bind(self) -> None:
        """It has sockets by asking, says when it leaves them, but not where a successor is to have them."""
        sock = listening("127.0.0.1", 0)
        wanted = Wanted("web", "127.0.0.1:0")
        (bound,), asked = self.answered(lambda: self.worker.bind(wanted), {"place": "w"}, [sock.fileno()])
        self.assertEqual(sock.getsockname(), bound.sock.getsockname())
        values = {key: asked[0].values[key] for key in ("do", "place", "host", "port", "shared", "owner")}
        self.assertEqual(
            {"do": "bind", "place": "web 127.0.0.1:0", "host": "127.0.0.1", "port": 0, "shared": False, "owner": ""},
            values,
        )
        bound.release()
        self.assertEqual([{"do": "leave", "place": "w"}], self.said())
        (bound,), _ = self.answered(lambda: self.worker.bind(wanted), {"place": "w"}, [sock.fileno()])
        self.worker.stopping(1.0)
        bound.release()
        self.assertEqual(["stopping"], [values["do"] for values in self.said()])
        sock.close()

    def test_refused(self) -> None:
        """Why it cannot have one is said in the words of a process that is on its own."""
        wanted = Wanted("web", "127.0.0.1:80")
        answer = {"error": "Permission denied"}
        error = self.assertRaises(CannotListen, self.answered, lambda: self.worker.bind(wanted), answer, [])
        self.assertEqual("web: cannot listen on 127.0.0.1:80: Permission denied", str(error))

    def test_endpoint(self) -> None:
        """What has no IP address it binds itself, where nobody has, and shares."""
        path = f"{tempfile.mkdtemp()}/socket"
        wanted = Wanted("web", f"unix:{path}")
        theirs = listening("127.0.0.1", 0)
        self.patch(module, "bind_now", lambda *args: module.Bound(socket.socket(socket.AF_UNIX), lambda: None))
        answers = ({"found": False}, [], {"found": True, "place": "p"}, [theirs.fileno()])
        (bound,), asked = self.answered(lambda: self.worker.bind(wanted), *answers)
        self.assertEqual(["have", "give"], [message.values["do"] for message in asked])
        self.assertEqual([0, 1], [len(message.fds) for message in asked])
        os.close(asked[1].fds[0])
        bound.release()
        (bound,), _ = self.answered(lambda: self.worker.bind(wanted), {"found": True, "place": "p"}, [theirs.fileno()])
        bound.release()
        theirs.close()

    def test_gone(self) -> None:
        """Without a supervisor it drains; whoever asks is told that there is none."""
        self.worker.attach(self.proxy)
        self.supervisor.close()
        self.reactor.look()
        self.assertEqual("shutdown", self.proxy.told[-1])
        self.assertEqual([], self.reactor.readers)
        error = self.assertRaises(CannotListen, self.worker.bind, Wanted("web", "127.0.0.1:0"))
        self.assertIn("the supervisor is gone", str(error))

    def test_silent(self) -> None:
        """One that does not answer is not waited for for ever."""
        self.patch(module, "PATIENCE", 0.01)
        self.assertRaises(NoSupervisor, self.worker._wait, {"do": "hello"})
        self.assertTrue(issubclass(Gone, Exception))
