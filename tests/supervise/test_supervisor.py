# -*- test-case-name: tests.supervise.test_supervisor -*-
"""
L{lproxy.supervise.supervisor}: workers that are the other ends of channels, and a clock that stands still.
"""

from __future__ import annotations

import json
import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.supervise.channel import Channel, Message, pair
from lproxy.supervise.places import Places, listening
from lproxy.supervise.spec import Spec
from lproxy.supervise.supervisor import Supervisor


class FakeWorld:
    """Processes are channels, of which a test has the other end."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pid = 100
        self.channels: dict[int, Channel] = {}
        self.others: dict[int, Channel] = {}
        self.watched: dict[Any, Callable[[], None]] = {}
        self.said: list[str] = []
        self.told: list[str] = []
        self.killed: list[int] = []
        self.readies = 0
        self.status: int | None = None
        self.successors: list[str] = []
        self.recalled = self.asking = 0
        self.log = -1

    def seconds(self) -> float:
        return self.now

    def start(self, index: int) -> int:
        self.pid += 1
        self.channels[self.pid], theirs = pair()
        self.others[self.pid] = Channel(theirs)
        return self.pid

    def channel(self, pid: int) -> Channel:
        return self.channels[pid]

    def kill(self, pid: int, number: int) -> None:
        self.killed.append(pid)

    def say(self, level: str, text: str) -> None:
        self.said.append(text)

    def watch(self, watched: Any, readable: Callable[[], None]) -> None:
        self.watched[watched] = readable

    def unwatch(self, watched: Any) -> None:
        self.watched.pop(watched, None)

    def usage(self) -> tuple[float, int, int]:
        return 0.5, 20_000_000, 17

    def ready(self) -> None:
        self.readies += 1

    def tell(self, state: str) -> None:
        self.told.append(state.partition("\n")[0])

    def set_level(self, level: str) -> None:
        self.said.append(f"level {level}")

    def reopen(self) -> int:
        return self.log

    def successor(self, door: str) -> None:
        self.successors.append(door)

    def asked(self) -> int:
        return self.asking

    def recall(self) -> None:
        self.recalled += 1

    def stop(self, status: int) -> None:
        self.status = status


class Case(SynchronousTestCase):
    """Two workers."""

    def setUp(self) -> None:
        self.world = FakeWorld()
        self.places = Places(2)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = Path(folder.name) / "l.toml"
        self.file.write_text("first")
        self.spec = Spec(["w"], ["s"], {}, 2, str(self.file), "first", str(self.file), pidfile="/run/x")
        self.supervisor = Supervisor(self.spec, self.places, self.world)
        self.addCleanup(self.close)
        self.supervisor.start()

    def close(self) -> None:
        for channel in (*self.world.channels.values(), *self.world.others.values()):
            channel.close()
        self.places.close_all()

    def turn(self) -> None:
        """Whatever was said is heard."""
        for readable in list(self.world.watched.values()):
            readable()

    def heard(self, pid: int) -> list[dict[str, Any]]:
        return [message.values for message in self.world.others[pid].receive()]

    def ask(self, pid: int, **values: Any) -> Message:
        """What the supervisor answers; whatever else it says is left out."""
        self.world.others[pid].send({**values, "ask": 1})
        self.turn()
        (answer,) = (message for message in self.world.others[pid].receive() if message.values.get("answer") == 1)
        return answer

    def say(self, pid: int, **values: Any) -> None:
        self.world.others[pid].send(values)
        self.turn()

    def serve(self) -> None:
        """Both do."""
        for pid in (101, 102):
            self.say(pid, do="serving", hung=10.0, ending=30.0)
            self.heard(pid)

    def end(self, pid: int, how: str = "ended with status 0") -> None:
        self.world.others[pid].close()
        self.supervisor.ended(pid, how)


class LifeTests(Case):
    """From the first start to the last end."""

    def test_ready(self) -> None:
        """It is ready once all serve, and but once."""
        self.say(101, do="serving", hung=10.0, ending=30.0)
        self.assertEqual(0, self.world.readies)
        self.say(102, do="serving", hung=10.0, ending=30.0)
        self.say(102, do="serving", hung=10.0, ending=30.0)
        self.assertEqual(1, self.world.readies)

    def test_hello(self) -> None:
        """A worker is told who it is, and has its configuration and everybody's ledgers."""
        answer = self.ask(102, do="hello")
        self.assertEqual((1, 2, "first"), tuple(answer.values[key] for key in ("index", "workers", "text")))
        self.assertEqual(2, len(answer.fds))
        for fd in answer.fds:
            os.close(fd)

    def test_never_served(self) -> None:
        """If one ends before it has ever served, nothing is started: the others end, and the status says so."""
        self.end(101, "ended with status 1")
        self.assertIn("worker 0 ended with status 1 before it served: nothing is started", self.world.said)
        self.assertEqual(["shutdown"], [values["do"] for values in self.heard(102)])
        self.assertIsNone(self.world.status)
        self.end(102)
        self.assertEqual(1, self.world.status)

    def test_restart(self) -> None:
        """One that dies later is replaced, and nobody else notices."""
        self.serve()
        self.end(101, "was killed by SIGKILL")
        self.world.now = 1.0
        self.supervisor.look(1.0)
        self.assertEqual(103, self.world.pid)
        self.assertEqual(0, self.ask(103, do="hello").values["index"])
        self.assertEqual([], self.heard(102))
        self.assertIsNone(self.world.status)

    def test_end(self) -> None:
        """SIGTERM has all drain, a second one all hurry; it ends when they have, and not before."""
        self.serve()
        self.supervisor.end()
        self.supervisor.end()
        for pid in (101, 102):
            self.assertEqual(["shutdown", "hurry"], [values["do"] for values in self.heard(pid)])
        self.end(101)
        self.supervisor.look(5.0)
        self.assertEqual((102, None), (self.world.pid, self.world.status))
        self.end(102)
        self.assertEqual((0, ["STOPPING=1"]), (self.world.status, self.world.told))

    def test_end_overdue(self) -> None:
        """A worker that does not end within what it may take is killed."""
        self.serve()
        self.supervisor.end()
        self.supervisor.look(29.0)
        self.assertEqual([], self.world.killed)
        self.supervisor.look(30.0)
        self.assertEqual([101, 102], self.world.killed)

    def test_asked_to_end(self) -> None:
        """A worker's admin server, too, may have all end."""
        self.serve()
        self.say(102, do="shutdown")
        self.say(102, do="shutdown")
        self.assertEqual(["shutdown"], [values["do"] for values in self.heard(101)])

    def test_late(self) -> None:
        """Where it has not looked itself for long, workers are not held to blame."""
        self.serve()
        self.world.now = 100.0
        self.supervisor.look(100.0)
        self.assertEqual([], self.world.killed)

    def test_signs(self) -> None:
        """systemd is given signs of life as often as it wants them."""
        self.spec.every = 2.0
        for now in range(1, 8):
            self.supervisor.look(float(now))
        self.assertEqual(["WATCHDOG=1"] * 3, self.world.told)

    def test_exhausted(self) -> None:
        """Out of descriptors it lives on: who wants what takes one is told why it is not to be had."""
        self.serve()

        def usage() -> tuple[float, int, int]:
            raise OSError(24, "Too many open files")

        self.world.usage = usage  # type: ignore[method-assign]
        self.assertEqual("Too many open files", self.ask(101, do="table").values["error"])
        self.assertEqual(["worker 0 asks for what cannot be done: Too many open files"], self.world.said[-1:])

    def test_nonsense(self) -> None:
        """What nobody knows is answered so."""
        self.assertEqual("nobody knows what that is", self.ask(101, do="dance").values["error"])


class PlacesTests(Case):
    """Sockets."""

    def sockets(self, pid: int, **values: Any) -> list[socket.socket]:
        answer = self.ask(pid, **values)
        sockets = [socket.socket(fileno=fd) for fd in answer.fds]
        for sock in sockets:
            self.addCleanup(sock.close)
        return sockets

    def test_bind(self) -> None:
        """Each worker has a socket of its own at one address; who cannot have it is told why."""
        (one,) = self.sockets(101, do="bind", place="web", host="127.0.0.1", port=0)
        (two,) = self.sockets(102, do="bind", place="web", host="127.0.0.1", port=0)
        self.assertEqual(one.getsockname(), two.getsockname())
        self.assertFalse(os.path.sameopenfile(one.fileno(), two.fileno()))
        with socket.create_server(("127.0.0.1", 0)) as holder:
            port = holder.getsockname()[1]
            error = self.ask(101, do="bind", place="x", host="127.0.0.1", port=port).values["error"]
            self.assertEqual("Address already in use", error)

    def test_given(self) -> None:
        """What a worker has bound itself is everybody's."""
        self.assertFalse(self.ask(101, do="have", place="unix:/x").values["found"])
        mine = listening("127.0.0.1", 0)
        self.world.others[101].send({"do": "give", "place": "unix:/x", "ask": 1}, [mine.fileno()])
        self.turn()
        for message in self.world.others[101].receive():
            for fd in message.fds:
                os.close(fd)
        (theirs,) = self.sockets(102, do="have", place="unix:/x")
        self.assertEqual(mine.getsockname(), theirs.getsockname())
        mine.close()

    def test_exposed(self) -> None:
        """A port that one worker opens in somebody's name the others are told of, and those that start later, too."""
        self.serve()
        self.sockets(101, do="bind", place="127.0.0.1:1", host="127.0.0.1", port=0, owner="kafka 1", note="n")
        told = {"do": "exposed", "place": "127.0.0.1:1", "shared": False, "owner": "kafka 1", "note": "n"}
        self.assertEqual(([], [told]), (self.heard(101), self.heard(102)))
        self.sockets(102, do="bind", place="127.0.0.1:1", host="127.0.0.1", port=0, owner="kafka 1", note="n")
        self.assertEqual([], self.heard(101))
        self.end(102, "was killed by SIGKILL")
        self.supervisor.look(1.0)
        self.say(103, do="serving")
        self.assertEqual([told], self.heard(103))

    def test_elsewhere(self) -> None:
        """Who has a port already is not given another by another worker, which is told of that one."""
        (sock,) = self.sockets(101, do="bind", place="h:1", host="127.0.0.1", port=0, owner="kafka 1", note="n")
        answer = self.ask(102, do="bind", place="h:2", host="127.0.0.1", port=0, owner="kafka 1").values
        port = sock.getsockname()[1]
        self.assertEqual((port, f"kafka 1 has port {port} in another worker"), (answer["instead"], answer["error"]))

    def test_leave(self) -> None:
        """What nobody wants any more is closed."""
        ports = []
        for pid in (101, 102):
            (sock,) = self.sockets(pid, do="bind", place="web", host="127.0.0.1", port=0)
            ports.append(sock.getsockname())
            sock.close()
        self.say(101, do="leave", place="web")
        socket.create_connection(ports[0], 5).close()
        self.say(102, do="leave", place="web")
        self.assertRaises(ConnectionRefusedError, socket.create_connection, ports[0], 5)

    def test_unwanted(self) -> None:
        """What was taken over and is in no listener's name any more is closed once all serve."""
        self.places.adopt("old", [listening("127.0.0.1", 0)], shared=True)
        self.sockets(101, do="bind", place="web", host="127.0.0.1", port=0)
        self.serve()
        self.assertEqual(["web"], [place.key for place in self.places])


class ReloadTests(Case):
    """One configuration for all."""

    def reload(self) -> list[tuple[bool, str]]:
        done: list[tuple[bool, str]] = []
        self.supervisor.reload(lambda well, text: done.append((well, text)))
        return done

    def answer(self, pid: int, word: str, text: str) -> str:
        """What it was asked to read; it answers."""
        (asked,) = (values for values in self.heard(pid) if values["do"] == "reload")
        self.say(pid, do="answer", number=asked["ask"], word=word, text=text)
        return str(asked["text"])

    def test_applied(self) -> None:
        """All are given the same bytes, one after the other, and who starts later begins with them."""
        self.serve()
        self.file.write_bytes(b"second \xff")
        done = self.reload()
        self.file.write_text("third")
        self.assertEqual([], self.heard(102))
        self.assertEqual("second \xff", self.answer(101, "applied", "f is live"))
        self.assertEqual([], done)
        self.assertEqual("second \xff", self.answer(102, "applied", "f is live"))
        self.assertEqual([(True, "f is live")], done)
        self.assertEqual(["RELOADING=1", "READY=1"], self.world.told)
        self.end(101, "was killed by SIGKILL")
        self.supervisor.look(1.0)
        self.assertEqual("second \xff", self.ask(103, do="hello").values["text"])

    def test_invalid(self) -> None:
        """One that is refused changes nothing: who starts later begins with what is live."""
        self.serve()
        self.file.write_text("bad")
        done = self.reload()
        self.answer(101, "invalid", "f is refused")
        self.assertEqual(([(False, "f is refused")], [], []), (done, self.heard(101), self.heard(102)))
        self.end(101, "was killed by SIGKILL")
        self.supervisor.look(1.0)
        told = self.ask(103, do="hello").values
        self.assertEqual(("first", False), (told["text"], told["well"]))

    def test_unreadable(self) -> None:
        """A file that is not there is no configuration, which one worker counts."""
        self.serve()
        self.file.unlink()
        ((well, text),) = self.reload()
        self.assertFalse(well)
        self.assertIn("cannot be read, and what was live stays so: No such file", text)
        self.assertEqual([{"do": "refused"}], self.heard(101))
        self.assertEqual([], self.heard(102))

    def test_fifo(self) -> None:
        """Nobody waits for the writer of a FIFO, while which no worker would be heard."""
        self.serve()
        self.file.unlink()
        os.mkfifo(self.file)
        ((well, text),) = self.reload()
        self.assertFalse(well)
        self.assertIn("it is no regular file", text)

    def test_early(self) -> None:
        """Who asks before anybody serves is told what comes of it as soon as somebody does."""
        done = self.reload()
        self.file.write_text("second")
        self.assertEqual([], done)
        self.say(101, do="serving")
        self.assertEqual("second", self.answer(101, "applied", "f is live"))
        self.assertEqual([(True, "f is live")], done)

    def test_changed_before(self) -> None:
        """So is what was to be read anew before there was a supervisor."""
        self.spec.changed = True
        self.supervisor.start()
        self.file.write_text("second")
        self.say(103, do="serving")
        self.assertEqual("second", self.answer(103, "applied", "f is live"))

    def test_ending(self) -> None:
        """Who asks when all ends is told so."""
        self.serve()
        self.supervisor.end()
        self.assertEqual([(False, "lproxy is about to end")], self.reload())

    def test_leaves(self) -> None:
        """One that is told to end while it is asked is no reason to refuse what the others take."""
        self.serve()
        done = self.reload()
        self.say(101, do="stopping", within=5.0)
        self.answer(101, "failed", "lproxy is not running")
        self.answer(102, "applied", "f is live")
        self.assertEqual([(True, "f is live")], done)

    def test_no_file(self) -> None:
        """Where there is no file there is nothing to read."""
        self.spec.file = None
        self.assertEqual([(True, "lproxy was started without a file: there is nothing to read")], self.reload())

    def test_meanwhile(self) -> None:
        """Who asks while one is under way is told what comes of the next, however many ask."""
        self.serve()
        first, second, third = self.reload(), self.reload(), self.reload()
        self.answer(101, "applied", "one")
        self.answer(102, "applied", "one")
        self.assertEqual(([(True, "one")], []), (first, second))
        self.answer(101, "unchanged", "two")
        self.answer(102, "unchanged", "two")
        self.assertEqual(([(True, "two")], [(True, "two")]), (second, third))
        self.assertEqual([], self.heard(101))

    def test_refused_by_one(self) -> None:
        """One that would not have what the first has drains, and another begins with it."""
        self.serve()
        self.reload()
        self.answer(101, "applied", "f is live")
        self.answer(102, "failed", "no")
        self.assertEqual(["shutdown"], [values["do"] for values in self.heard(102)])

    def test_late(self) -> None:
        """One that has begun with what was live before is given what is live by now; it may not want to have it."""
        self.serve()
        self.end(102, "was killed by SIGKILL")
        self.supervisor.look(1.0)
        self.ask(103, do="hello")
        self.file.write_text("second")
        self.reload()
        self.answer(101, "applied", "f is live")
        self.say(103, do="serving")
        self.assertEqual("second", self.answer(103, "applied", "f is live"))
        self.say(103, do="serving")
        self.assertEqual([], self.heard(103))
        self.file.write_text("third")
        self.reload()
        self.end(101, "was killed by SIGKILL")
        self.supervisor.look(2.0)
        self.ask(104, do="hello")
        self.say(104, do="serving")
        self.assertEqual([], [values for values in self.heard(104) if values["do"] == "reload"])

    def test_late_refusal(self) -> None:
        """If it does not, another takes its place."""
        self.serve()
        self.end(102, "was killed by SIGKILL")
        self.supervisor.look(1.0)
        self.ask(103, do="hello")
        self.file.write_text("second")
        self.reload()
        self.say(103, do="serving")
        self.answer(101, "applied", "f is live")
        self.answer(103, "failed", "no")
        self.assertEqual(["shutdown"], [values["do"] for values in self.heard(103)])

    def test_dies(self) -> None:
        """The first dies of it: what was live stays so."""
        self.serve()
        done = self.reload()
        self.end(101, "was killed by SIGSEGV")
        self.assertEqual([False], [well for well, _ in done])
        why = "worker 0 ended while it read the configuration, and what was live stays so"
        self.assertIn(f"reload: {why}", self.world.said)
        self.assertEqual([{"do": "refused"}], self.heard(102))

    def test_from_a_worker(self) -> None:
        """A worker that is asked to reload asks the supervisor, and hears what came of it."""
        self.serve()
        self.world.others[102].send({"do": "reload", "ask": 9})
        self.turn()
        self.answer(101, "applied", "f is live")
        (asked,) = self.heard(102)
        self.say(102, do="answer", number=asked["ask"], word="applied", text="")
        self.assertEqual([{"answer": 9, "well": True, "text": "f is live"}], self.heard(102))

    def test_hung_up(self) -> None:
        """SIGHUP reloads, and has the logs opened again; those with a file are given it anew."""
        self.serve()
        self.world.log = 0
        self.supervisor.hung_up()
        self.assertEqual(["log", "reload", "reopen"], [values["do"] for values in self.heard(101)])
        self.assertEqual(["log", "reopen"], [values["do"] for values in self.heard(102)])


class ShownTests(Case):
    """What workers ask."""

    def test_table(self) -> None:
        """Everybody has a row, and the supervisor says what it takes itself; all of it is JSON."""
        self.serve()
        self.world.now = 3.0
        told = json.loads(json.dumps(self.ask(101, do="table").values))
        self.assertEqual([(0, 101), (1, 102)], [(row["worker"], row["pid"]) for row in told["workers"]])
        self.assertEqual(20_000_000, told["supervisor"]["resident_bytes"])

    def test_level(self) -> None:
        """A log level is everybody's, and that of those who start later."""
        self.serve()
        self.say(102, do="level", level="debug")
        for pid in (101, 102):
            self.assertEqual([{"do": "level", "level": "debug"}], self.heard(pid))
        self.end(101, "was killed by SIGKILL")
        self.supervisor.look(1.0)
        self.assertEqual("debug", self.ask(103, do="hello").values["level"])
        self.assertIn("level debug", self.world.said)

    def test_held(self) -> None:
        """Who holds up a worker is in the table."""
        self.serve()
        self.say(101, do="held", text="held by lproxy")
        self.assertEqual("held by lproxy", self.ask(102, do="table").values["workers"][0]["held_by"])
        self.say(101, do="beat")
        self.assertEqual("", self.ask(102, do="table").values["workers"][0]["held_by"])


class SuccessorTests(Case):
    """Another lproxy takes the place."""

    def test_taken(self) -> None:
        """Workers leave the sockets to it and drain, systemd is told of it, and the pidfile is its own."""
        self.places.bind("web", "127.0.0.1", 0).users.add(0)
        self.serve()
        self.assertEqual("/run/x", self.supervisor.greeting()["pidfile"])
        ((place, fds),) = self.supervisor.given()
        self.assertEqual(("web", 2), (place["place"], len(fds)))
        self.supervisor.taken(4711, "/run/x")
        self.assertEqual((["MAINPID=4711"], ""), (self.world.told, self.spec.pidfile))
        for pid in (101, 102):
            self.assertEqual(["given"], [values["do"] for values in self.heard(pid)])
            self.end(pid)
        self.assertEqual(0, self.world.status)

    def test_other_pidfile(self) -> None:
        """A pidfile that it does not take on is ours to remove."""
        self.supervisor.taken(4711, "/run/y")
        self.assertEqual("/run/x", self.spec.pidfile)

    def test_upgrade(self) -> None:
        """SIGUSR2 starts one that is told where to ask, unless we end."""
        self.supervisor.upgrade()
        self.assertEqual([], self.world.successors)
        self.supervisor.door = "@x"
        self.supervisor.upgrade()
        self.supervisor.end()
        self.supervisor.upgrade()
        self.assertEqual(["@x"], self.world.successors)

    def test_upgrade_recalled(self) -> None:
        """Who is told to end means it: whom it started to take its place ends, unless that serves already."""
        self.supervisor.door = "@x"
        self.supervisor.upgrade()
        self.supervisor.end()
        self.supervisor.end()
        self.assertEqual(1, self.world.recalled)

    def test_upgrade_not_recalled(self) -> None:
        """Once it serves it stays."""
        self.supervisor.door = "@x"
        self.supervisor.upgrade()
        self.assertTrue(self.supervisor.in_charge)
        self.supervisor.taken(4711, "")
        self.assertFalse(self.supervisor.in_charge)
        self.supervisor.end()
        self.assertEqual(0, self.world.recalled)

    def test_end_with_successor(self) -> None:
        """Files of UNIX sockets stay where somebody is about to take our place: they are his."""
        for asking, stays in ((4711, True), (0, False)):
            path = self.file.with_name("socket")
            self.places.adopt(f"unix:{path}", [socket.create_server(str(path), family=socket.AF_UNIX)], shared=True)
            self.world.asking = asking
            self.supervisor.end()
            for pid in (101, 102):
                self.end(pid)
            self.assertEqual(stays, path.exists())
            path.unlink(missing_ok=True)

    def test_fail(self) -> None:
        """What was to be taken over and was not given ends it, with a status that says so."""
        self.supervisor.fail("it was not given")
        for pid in (101, 102):
            self.end(pid)
        self.assertEqual(1, self.world.status)
