# -*- test-case-name: tests.test_api -*-
"""
A protocol for tests of the proxy around it: what is asked of it is noted, and a test says what goes wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from zope.interface import implementer

from lproxy.api import Accepted, Detector, Family, IProtocolPlugin, Match, Runtime, Stream, Verdict


class NoteSession:
    """
    Says again what it hears, and raises at the word C{bug}.

    @ivar told: whether it was asked to drain, or to end
    """

    def __init__(self, factory: NoteFactory, accepted: Accepted) -> None:
        self.factory = factory
        self.accepted = accepted
        self.stream: Stream = accepted.stream
        self.told: list[str] = []

    def start(self) -> None:
        self.factory.plugin.step("session start", self.factory.name)
        self.stream.attach(self, self.accepted.prefix, self.accepted.eof)
        self.stream.resume()

    def drain(self) -> None:
        self.told.append("drain")
        self.factory.plugin.step("session drain", self.factory.name)
        if self.factory.plugin.ends:
            self.stream.close()

    def abort(self) -> None:
        self.told.append("abort")
        self.factory.plugin.step("session abort", self.factory.name)
        if not self.factory.plugin.deaf:
            self.stream.abort()

    def describe(self) -> dict[str, Any]:
        self.factory.plugin.step("describe", self.factory.name)
        return {"listener": self.factory.name, "protocol": "note"}

    def data_received(self, data: bytes) -> None:
        self.factory.plugin.got.append(data)
        if b"bug" in data:
            raise ZeroDivisionError("a bug")
        self.factory.heard += 1
        self.stream.write(self.factory.tag + data)

    def eof_received(self) -> None:
        self.stream.close()

    def connection_lost(self) -> None:
        self.factory.runtime.sessions.remove(self)

    def pause_writing(self) -> None:
        pass

    def resume_writing(self) -> None:
        pass


class NoteFactory:
    """
    One listener's.

    @ivar tag: what each answer begins with
    """

    def __init__(self, plugin: Note, runtime: Runtime, tag: bytes) -> None:
        self.plugin = plugin
        self.runtime = runtime
        self.name = runtime.listen.name
        self.tag = tag
        self.heard = 0
        self.detector: Detector | None = plugin.own_detector
        self.sessions: list[NoteSession] = []
        runtime.counters.families(self.families)

    def session(self, accepted: Accepted) -> NoteSession:
        self.plugin.step("session", self.name, accepted.variant, accepted.prefix)
        session = NoteSession(self, accepted)
        self.sessions.append(session)
        return session

    def start(self) -> None:
        self.plugin.step("start", self.name)

    def drain(self) -> None:
        self.plugin.step("drain", self.name)

    def stop(self) -> None:
        self.plugin.step("stop", self.name)

    def families(self) -> Iterable[Family]:
        yield Family("note_heard_total", "counter", "Notes that were heard.", [((), self.heard)])


@implementer(IProtocolPlugin)
class Note:
    """
    A plugin that notes what is asked of it.

    @ivar asked: each call, in order: its name, the listener's, and with what
    @ivar on: what to do at a call, by its name
    @ivar verdicts: what its detector answers, in order; the last for ever
    @ivar own_detector: the factories' own
    @ivar made: what C{configure} has returned
    @ivar factories: what C{factory} has
    @ivar got: what sessions have received
    @ivar ends: whether a session that is drained ends at once
    @ivar deaf: whether one that is to end does not
    """

    name = "note"
    version = "1"

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.on: dict[str, Callable[[], object]] = {}
        self.verdicts: list[Verdict | Exception] = [Match()]
        self.own_detector: Detector | None = None
        self.made: list[Any] = []
        self.factories: list[NoteFactory] = []
        self.got: list[bytes] = []
        self.ends = self.deaf = False

    def step(self, what: str, *with_what: Any) -> None:
        self.asked.append((what, *with_what))
        if what in self.on:
            self.on[what]()

    def raises(self, what: str, error: BaseException) -> None:
        """Have each call of that name raise C{error}."""

        def throw() -> None:
            raise error

        self.on[what] = throw

    @property
    def calls(self) -> list[str]:
        """The names of the calls."""
        return [call[0] for call in self.asked]

    def detector(self, prefix: bytes) -> Verdict:
        self.asked.append(("detector", prefix))
        verdict = self.verdicts.pop(0) if len(self.verdicts) > 1 else self.verdicts[0]
        if isinstance(verdict, Exception):
            raise verdict
        return verdict

    def configure(self, table: dict[str, Any]) -> Any:
        self.step("configure", dict(table))
        if "colour" in table:
            raise ValueError("colour: there is none; leave it out")
        value = {"tag": "", **table}
        self.made.append(value)
        return value

    def factory(self, runtime: Any, config: Any) -> NoteFactory:
        self.step("factory", runtime.listen.name, config)
        factory = NoteFactory(self, runtime, config["tag"].encode())
        self.factories.append(factory)
        return factory
