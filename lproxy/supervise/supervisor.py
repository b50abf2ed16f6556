# -*- test-case-name: tests.supervise.test_supervisor -*-
"""
Looks after the workers: gives them their sockets and their configuration, replaces those that die or hang, hands on
what it is told, and ends when they have.

It knows neither loop nor processes: L{lproxy.supervise.world} is what is outside.

Over 300 lines: all that is said between it and its workers is to be read in one place.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable
from typing import Any

from lproxy.supervise import systemd
from lproxy.supervise.channel import Channel, Gone, Message
from lproxy.supervise.places import Place, Places, Taken, remove, why
from lproxy.supervise.reread import reread
from lproxy.supervise.rolling_reload import WELL, Round
from lproxy.supervise.slots import Process, Slot
from lproxy.supervise.spec import Spec
from lproxy.supervise.world import World

#: bytes of a configuration: what is longer is refused by whoever reads it
MOST = 4 * 1024 * 1024 + 1
#: seconds of silence of our own that workers are not held to blame for
LATE = 1.0

Answer = tuple[dict[str, Any], list[int]]


class Supervisor:
    """
    One.

    @ivar door: where a successor asks for our sockets; empty: nowhere
    """

    def __init__(self, spec: Spec, places: Places, world: World) -> None:
        self._spec = spec
        self._places = places
        self._world = world
        self._text, self._level = spec.text, spec.level
        self._slots = [Slot(index, world) for index in range(spec.workers)]
        self._ledgers = [os.memfd_create(f"lproxy-worker-{index}", os.MFD_CLOEXEC) for index in range(spec.workers)]
        self._channels: dict[int, Channel] = {}
        self._round: Round | None = None
        #: reloads that were asked for while one is under way, or nobody serves: each is told what comes of the next
        self._asked: list[Callable[[bool, str], None]] = []
        self._numbers: dict[int, tuple[int, int]] = {}
        #: the configuration that each process has, or was told of last
        self._texts: dict[int, str] = {}
        self._number = 0
        self._looked = world.seconds()
        self._alive = 0.0
        self._hung = spec.hung
        #: whether the latest reload was
        self._well = True
        self._started = self._ending = self._given = False
        self._status = 0
        self.door = ""
        self._does: dict[str, Callable[[Slot, int, dict[str, Any], list[int]], Answer | None]] = {
            "hello": self._hello,
            "bind": self._bind,
            "have": self._have,
            "give": self._give,
            "leave": self._leave,
            "serving": self._serving,
            "beat": self._beat,
            "held": self._held,
            "stopping": self._stopping,
            "answer": self._answered,
            "table": self._table,
            "level": self._set_level,
            "shutdown": self._shutdown,
        }

    def __repr__(self) -> str:
        return f"<Supervisor of {self._slots}>"

    @property
    def in_charge(self) -> bool:
        """Whether nobody else serves in our place, and we do not end."""
        return not self._given and not self._ending

    # its own life

    def start(self) -> None:
        """Start the workers."""
        if self._spec.changed:
            self.reload(lambda well, text: None)
        now = self._world.seconds()
        for slot in self._slots:
            self._start(slot, now)

    def look(self, now: float) -> None:
        """Several times a second."""
        late = now - self._looked
        self._looked = now
        for slot in self._slots:
            if late > LATE:
                slot.excuse(late)
            before = slot.process
            slot.look(now, self._hung)
            self._adopt(slot, before)
        if self._spec.every is not None and now - self._alive >= self._spec.every:
            self._alive = now
            self._world.tell(systemd.ALIVE)

    def end(self) -> None:
        """As SIGTERM: have all drain, and end when they have; told again, at once."""
        hurry, self._ending = self._ending, True
        if not hurry:
            self._world.say("info", "draining")
            self._world.tell(systemd.STOPPING)
            if not self._given:
                self._world.recall()
        self._tell_all({"do": "hurry" if hurry else "shutdown"})
        now = self._world.seconds()
        for slot in self._slots:
            slot.due = None
            for process in _processes(slot):
                process.due = process.due or now + self._spec.ending
        self._over()

    def hung_up(self) -> None:
        """As SIGHUP: read the file anew, and begin the logs anew."""
        self.rotate()
        self.reload(lambda well, text: None)
        self._tell_all({"do": "reopen"})

    def rotate(self) -> None:
        """Begin the log's file anew."""
        fd = self._world.reopen()
        if fd >= 0:
            for channel in self._channels.values():
                channel.send({"do": "log"}, [fd])

    def upgrade(self) -> None:
        """As SIGUSR2: have another lproxy take our place."""
        if self._ending or not self.door:
            self._world.say("error", "there is nothing to take over")
            return
        self._world.successor(self.door)

    # a successor: an Owner of lproxy.supervise.handover

    def greeting(self) -> dict[str, Any]:
        """What a successor has to know besides the sockets."""
        return {"pidfile": self._spec.pidfile, "pid": os.getpid()}

    def given(self) -> Iterable[tuple[dict[str, Any], list[int]]]:
        """All places."""
        return [(place.describe(), [sock.fileno() for sock in place.sockets]) for place in self._places]

    def taken(self, pid: int, pidfile: str) -> None:
        """C{pid} serves in our place."""
        self._given = self._ending = True
        if pidfile == self._spec.pidfile:
            self._spec.pidfile = ""
        self._world.tell(systemd.main_pid(pid))
        self._tell_all({"do": "given"})
        for slot in self._slots:
            slot.due = None
            for process in _processes(slot):
                process.due = self._world.seconds() + self._spec.ending
        self._places.close_all()
        self._over()

    def say(self, level: str, text: str) -> None:
        """Write a log line."""
        self._world.say(level, text)

    # processes

    def _start(self, slot: Slot, now: float) -> None:
        before = slot.process
        slot.start(now)
        self._adopt(slot, before)

    def _adopt(self, slot: Slot, before: Process | None) -> None:
        """If there is another process than before, listen to it."""
        process = slot.process
        if process is None or process is before:
            return
        channel = self._channels[process.pid] = self._world.channel(process.pid)
        self._world.watch(channel, lambda: self._read(slot, process.pid))

    def ended(self, pid: int, how: str) -> None:
        """A process of ours is gone, C{how} in words."""
        slot = next((slot for slot in self._slots if pid in slot), None)
        if slot is None:
            return
        # what it has said before it ended
        self._read(slot, pid)
        self._forget(pid)
        now = self._world.seconds()
        current = pid not in slot.leaving
        slot.ended(pid, how, now, not self._ending and self._started)
        if self._round is not None and current:
            self._round.lost(slot.index)
        if not self._started and not self._ending and slot.process is None:
            self._world.say("error", f"worker {slot.index} {how} before it served: nothing is started")
            self._status = 1
            self.end()
        self._over()

    def _over(self) -> None:
        if self._ending and not any(_processes(slot) for slot in self._slots):
            if not self._given and not self._world.asked():
                for place in self._places:
                    remove(place.key)
            self._places.close_all()
            self._world.stop(self._status)

    def fail(self, text: str) -> None:
        """Something makes it impossible to go on: end, with a status that says so."""
        self._world.say("error", text)
        self._status = 1
        if not self._ending:
            self.end()

    def _forget(self, pid: int) -> None:
        channel = self._channels.pop(pid, None)
        if channel is not None:
            self._world.unwatch(channel)
            channel.close()
        self._texts.pop(pid, None)
        self._numbers = {number: asked for number, asked in self._numbers.items() if asked[0] != pid}

    # what workers say

    def _read(self, slot: Slot, pid: int) -> None:
        channel = self._channels.get(pid)
        if channel is None:
            return
        try:
            for message in channel.receive():
                self._heard(slot, pid, channel, message)
        except Gone:
            # its end is told by the kernel
            self._world.unwatch(channel)

    def _heard(self, slot: Slot, pid: int, channel: Channel, message: Message) -> None:
        values, fds = message
        number = values.get("ask")
        if values.get("do") == "reload":
            self.reload(lambda well, text: channel.send({"answer": number, "well": well, "text": text}))
            return
        does = self._does.get(str(values.get("do")))
        try:
            answer = does(slot, pid, values, fds) if does is not None else ({"error": "nobody knows what that is"}, [])
            if number is not None:
                told, with_it = answer or ({}, [])
                channel.send({**told, "answer": number}, with_it)
        except OSError as e:
            # out of descriptors, say: that must not be the end of all workers
            self._world.say("error", f"worker {slot.index} asks for what cannot be done: {why(e)}")
            if number is not None:
                channel.send({"error": why(e), "answer": number})

    def _hello(self, slot: Slot, pid: int, values: dict[str, Any], fds: list[int]) -> Answer:
        """Who it is, and what it is to do."""
        self._texts[pid] = self._text
        told = {
            "index": slot.index,
            "workers": self._spec.workers,
            "text": self._text,
            "name": self._spec.name,
            "file": self._spec.file,
            "level": self._level,
            "door": self.door,
            "well": self._well,
            "supervisor": os.getpid(),
        }
        return told, self._ledgers

    def _bind(self, slot: Slot, pid: int, values: dict[str, Any], fds: list[int]) -> Answer:
        """It wants to listen on an IP address."""
        key, owner = str(values["place"]), str(values.get("owner", ""))
        known = len(self._places)
        try:
            place = self._places.bind(
                key, values["host"], values["port"], bool(values.get("shared")), owner, str(values.get("note", ""))
            )
        except (OSError, Taken) as e:
            return {"error": why(e)}, []
        if place.key != key:
            port = place.sockets[0].getsockname()[1]
            return {"error": f"{owner} has port {port} in another worker", "instead": port}, []
        if owner and len(self._places) > known:
            # where one worker says that somebody is, others may be asked for him
            told = {"do": "exposed", **place.describe()}
            for other, channel in self._channels.items():
                if other != pid:
                    channel.send(told)
        return self._granted(place, slot)

    def _have(self, slot: Slot, pid: int, values: dict[str, Any], fds: list[int]) -> Answer:
        """It wants to know whether something that has no IP address is listened on."""
        place = self._places.find(str(values["place"]))
        return self._granted(place, slot) if place is not None else ({"found": False}, [])

    def _give(self, slot: Slot, pid: int, values: dict[str, Any], fds: list[int]) -> Answer:
        """It listens somewhere: so may the others."""
        place = self._places.adopt(str(values["place"]), [socket.socket(fileno=fd) for fd in fds], shared=True)
        return self._granted(place, slot)

    def _granted(self, place: Place, slot: Slot) -> Answer:
        place.users.add(slot.index)
        sockets = self._places.of(place, slot.index)
        return {"found": True, "place": place.key}, [sock.fileno() for sock in sockets]

    def _leave(self, slot: Slot, pid: int, values: dict[str, Any], fds: list[int]) -> None:
        key = str(values["place"])
        if self._places.leave(key, slot.index):
            remove(key)

    def _serving(self, slot: Slot, pid: int, values: dict[str, Any], fds: list[int]) -> None:
        self._hung = float(values.get("hung", self._hung))
        self._spec.ending = float(values.get("ending", self._spec.ending))
        slot.serves(pid, self._world.seconds(), str(values.get("at", "")))
        self._catch_up(slot)
        self._reload_next()
        channel = self._channels.get(pid)
        if channel is not None:
            for place in self._places:
                if place.owner:
                    channel.send({"do": "exposed", **place.describe()})
        if not self._started and all(one.serving for one in self._slots):
            self._started = True
            self._drop_unused()
            self._world.ready()

    def _drop_unused(self) -> None:
        """What an lproxy had whose place we take, and nobody wants any more."""
        for place in self._places:
            if not place.users and not place.owner:
                self._places.close(place.key)

    def _beat(self, slot: Slot, pid: int, values: dict[str, Any], fds: list[int]) -> None:
        slot.beats(pid, self._world.seconds())

    def _held(self, slot: Slot, pid: int, values: dict[str, Any], fds: list[int]) -> None:
        slot.holds(pid, str(values.get("text", "")))

    def _stopping(self, slot: Slot, pid: int, values: dict[str, Any], fds: list[int]) -> None:
        current = pid not in slot.leaving
        slot.stops(pid, self._world.seconds(), float(values["within"]), not self._ending)
        if self._round is not None and current:
            self._round.leaves(slot.index)

    def _table(self, slot: Slot, pid: int, values: dict[str, Any], fds: list[int]) -> Answer:
        """The table of workers."""
        now = self._world.seconds()
        cpu, resident, descriptors = self._world.usage()
        own = {"pid": os.getpid(), "cpu_seconds": cpu, "resident_bytes": resident, "open_fds": descriptors}
        return {"workers": [one.describe(now) for one in self._slots], "supervisor": own}, []

    def _set_level(self, slot: Slot, pid: int, values: dict[str, Any], fds: list[int]) -> None:
        self._level = str(values["level"])
        self._world.set_level(self._level)
        self._tell_all({"do": "level", "level": self._level})

    def _shutdown(self, slot: Slot, pid: int, values: dict[str, Any], fds: list[int]) -> None:
        if not self._ending:
            self.end()

    def _tell_all(self, values: dict[str, Any]) -> None:
        for channel in self._channels.values():
            channel.send(values)

    # reload

    def reload(self, done: Callable[[bool, str], None]) -> None:
        """
        Read the file anew, and have all workers serve by it.

        @param done: told whether they do, and what there is to say
        """
        if self._spec.file is None:
            done(True, "lproxy was started without a file: there is nothing to read")
        elif self._ending:
            done(False, "lproxy is about to end")
        else:
            self._asked.append(done)
            self._reload_next()

    def _reload_next(self) -> None:
        if self._asked and self._round is None and any(slot.serving for slot in self._slots):
            self._reload()

    def _reload(self) -> None:
        asked, self._asked = self._asked, []

        def done(well: bool, text: str) -> None:
            self._round = None
            self._well = well
            for slot in self._slots:
                self._catch_up(slot)
            self._world.tell(systemd.READY)
            for one in asked:
                one(well, text)
            self._reload_next()

        assert self._spec.file is not None
        self._world.tell(systemd.reloading())
        try:
            text = reread(self._spec.file, MOST).decode("latin-1")
        except OSError as e:
            why = f"{self._spec.file} cannot be read, and what was live stays so: {e.strerror}"
            self._refused(why)
            done(False, why)
            return
        serving = [slot.index for slot in self._slots if slot.serving]
        self._round = Round(text, serving, self._ask, self._live, self._replace, done, self._refused)
        self._round.start()

    def _refused(self, why: str) -> None:
        self._world.say("error", f"reload: {why}")
        self._count_refused()

    def _count_refused(self) -> None:
        """Have the first worker count what none of them gets to see: they have the metrics."""
        for slot in self._slots:
            channel = self._channels.get(slot.process.pid) if slot.process is not None and slot.serving else None
            if channel is not None:
                channel.send({"do": "refused"})
                return

    def _ask(self, index: int, text: str) -> None:
        process = self._slots[index].process
        channel = self._channels.get(process.pid) if process is not None else None
        if process is None or channel is None:
            assert self._round is not None
            self._round.lost(index)
            return
        self._number += 1
        self._numbers[self._number] = process.pid, index
        self._texts[process.pid] = text
        channel.send({"do": "reload", "ask": self._number, "text": text})

    def _catch_up(self, slot: Slot) -> None:
        """It has begun with what was live then: another text may be by now."""
        process = slot.process
        if self._round is not None or process is None or not slot.serving:
            return
        if self._texts.get(process.pid, self._text) != self._text:
            self._ask(slot.index, self._text)

    def _answered(self, slot: Slot, pid: int, values: dict[str, Any], fds: list[int]) -> None:
        asked = self._numbers.pop(int(values["number"]), None)
        word = str(values["word"])
        if word not in WELL:
            # it goes on with what it had
            self._texts[pid] = self._text
        if asked is not None and self._round is not None:
            self._round.answered(asked[1], word, str(values["text"]))
        elif word not in WELL:
            self._replace(slot.index)

    def _live(self, text: str) -> None:
        self._text = text

    def _replace(self, index: int) -> None:
        process = self._slots[index].process
        channel = self._channels.get(process.pid) if process is not None else None
        if channel is not None:
            channel.send({"do": "shutdown"})


def _processes(slot: Slot) -> list[Process]:
    return [*slot.leaving.values(), *([slot.process] if slot.process is not None else [])]
