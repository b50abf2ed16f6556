# -*- test-case-name: tests.app.test_reload -*-
"""
L{lproxy.app.reload}: the configuration's file is read anew. In a real process: L{tests.integration.test_reload}.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from types import MappingProxyType
from typing import Any, ClassVar

from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.assembly import CannotStart
from lproxy.app.reload import LINES, Read, Reload, Source, digest
from lproxy.app.slices import PAUSE, SLICE
from lproxy.config import Admin, Config, Limits, Metrics, Service
from lproxy.configfile import Loaded, Problem
from lproxy.configfile.problem import Severity
from lproxy.metrics.reload import APPLIED, FAILED, INVALID, UNCHANGED, Reloads

BEFORE = Config()
AFTER = replace(BEFORE, limits=Limits(in_flight=7))


class FakeAssembly:
    """Made of a configuration."""

    odd: ClassVar[list[str]] = []

    def __init__(self, config: Config) -> None:
        self.config = config
        self.closed = False

    def oddities(self) -> list[str]:
        return self.odd

    def close(self) -> None:
        self.closed = True


def tell(config: Config, severity: Severity, texts: Iterable[str]) -> list[Problem]:
    """All of it about one setting."""
    return [Problem(severity, "lproxy.toml", None, "a.b", text) for text in texts]


class ReloadTests(SynchronousTestCase):
    """What is read, and what becomes of it."""

    def setUp(self) -> None:
        self.loaded = Loaded(AFTER, ())
        self.swapped: list[Config] = []
        self.error: Exception | None = None
        self.counter = Reloads()
        self.refused: CannotStart | None = None
        self.steps = 0
        self.clock = Clock()
        self.made: list[FakeAssembly] = []
        self.reads: list[Deferred[Read]] | None = None
        self.reload = self.make(Source("lproxy.toml", "/etc/lproxy.toml", lambda: self.loaded, tell))

    def make(self, source: Source | None) -> Reload:
        return Reload(
            source,
            lambda: BEFORE,
            self.assemble,
            self.swap,
            self.counter,
            lambda: 1_700_000_000.25,
            self.beside,
            self.clock,
        )

    def beside(self, read: Callable[[], Read]) -> Deferred[Read]:
        """At once, or when a test says so."""
        if self.reads is None:
            return execute(read)
        self.reads.append(Deferred())
        return self.reads[-1]

    def assemble(self, config: Config) -> Generator[None, None, Any]:
        """In so many steps, each of which takes a slice."""
        made = FakeAssembly(config)
        self.made.append(made)
        try:
            for _ in range(self.steps):
                self.clock.rightNow += SLICE
                yield
            if self.refused is not None:
                raise self.refused
        except BaseException:
            made.close()
            raise
        return made

    def swap(self, config: Config, made: Any) -> None:
        self.assertEqual(config, made.config)
        if self.error is not None:
            raise self.error
        self.swapped.append(config)

    def counted(self, word: str) -> Any:
        family = next(iter(self.counter.families()))
        return dict(family.samples)[("outcome", word),]

    def outcome(self, word: str) -> str:
        """It is that, counted as such; what is said."""
        outcome = self.successResultOf(self.reload.reload())
        self.assertEqual((word, 1), (outcome.word, self.counted(word)))
        return outcome.text

    def test_applied(self) -> None:
        """Another configuration serves, with its warnings told."""
        self.loaded = Loaded(AFTER, (Problem("warning", "lproxy.toml", 3, "a.b", "is odd"),))
        text = self.outcome(APPLIED)
        self.assertEqual([AFTER], self.swapped)
        self.assertTrue(text.startswith("lproxy.toml is live\n"), text)
        self.assertIn("is odd", text)

    def test_unchanged(self) -> None:
        """One that means the same changes nothing: no connection is let go of for a comment."""
        self.loaded = Loaded(Config(), ())
        self.assertIn("is live already", self.outcome(UNCHANGED))
        self.assertEqual(([True], []), ([one.closed for one in self.made], self.swapped))

    def test_invalid(self) -> None:
        """One with an error changes nothing, and all that is wrong is said."""
        problems = tuple(Problem("error", "lproxy.toml", n, "a.b", f"wrong {n}") for n in (1, 2))
        self.loaded = Loaded(None, problems)
        text = self.outcome(INVALID)
        self.assertEqual([], self.swapped)
        self.assertIn("what was live stays so", text)
        self.assertIn("wrong 1", text)
        self.assertIn("wrong 2", text)

    def test_blank(self) -> None:
        """A file that is empty, as it is while it is written, is no wish for the defaults, unless they are live."""
        self.loaded = Loaded(AFTER, (), blank=True)
        self.assertIn("refused, as it is empty, and what was live stays so", self.outcome(INVALID))
        self.assertEqual([], self.swapped)
        self.loaded = Loaded(Config(), (), blank=True)
        self.outcome(UNCHANGED)

    def test_many(self) -> None:
        """However much is odd about a file, the log has the beginning of it, and whoever asked all."""
        told: list[Any] = []
        globalLogPublisher.addObserver(told.append)
        self.addCleanup(globalLogPublisher.removeObserver, told.append)
        odd = tuple(Problem("warning", "lproxy.toml", n, f"a.b{n}", "is odd") for n in range(5_000))
        self.loaded = Loaded(AFTER, odd)
        self.assertEqual(5_001, len(self.outcome(APPLIED).splitlines()))
        lines = [formatEvent(event) for event in told]
        self.assertEqual(LINES + 2, len(lines))
        self.assertEqual(f"reload: and {5_000 - LINES} lines more, which lproxy check has", lines[-1])

    def test_failed(self) -> None:
        """One that cannot be started changes nothing, and says why."""
        self.error = CannotStart("a: cannot listen on 127.0.0.1:80: Permission denied")
        self.assertIn("Permission denied", self.outcome(FAILED))

    def test_refused(self) -> None:
        """What nothing can be made of is as wrong as what stands in the file, and is told as such."""
        self.loaded = Loaded(AFTER, (Problem("warning", "lproxy.toml", 3, "a.b", "is odd"),))
        self.refused = CannotStart("no such certificate", "no such protocol")
        text = self.outcome(INVALID)
        self.assertEqual(
            ["lproxy.toml: a.b: no such certificate", "lproxy.toml: a.b: no such protocol"], text.splitlines()[-2:]
        )
        self.assertIn("is odd", text)
        self.assertEqual([], self.swapped)

    def test_odd(self) -> None:
        """What is odd about what was made of it is told with the rest."""
        self.patch(FakeAssembly, "odd", ["everybody may read a key"])
        self.assertIn("lproxy.toml: warning: a.b: everybody may read a key", self.outcome(APPLIED))

    def test_slices(self) -> None:
        """What takes its time is made in slices, and serves when it is whole."""
        self.steps = 3
        done = self.reload.reload()
        for _ in range(3):
            self.assertNoResult(done)
            self.assertEqual([], self.swapped)
            self.clock.advance(PAUSE)
        self.assertEqual((APPLIED, [AFTER]), (self.successResultOf(done).word, self.swapped))

    def test_stopped(self) -> None:
        """Whoever waits when the proxy ends is told; what was made is let go of, and nothing is left to be done."""
        self.steps = 3
        done = self.reload.reload()
        self.reload.stop()
        self.assertEqual(FAILED, self.successResultOf(done).word)
        self.assertEqual([True], [one.closed for one in self.made])
        self.assertEqual(([], []), (self.swapped, self.clock.getDelayedCalls()))

    def test_stopped_reading(self) -> None:
        """So it is while the file is read; nothing is to be stopped where nothing is under way."""
        self.reload.stop()
        self.reads = []
        done = self.reload.reload()
        self.reload.stop()
        self.assertEqual(FAILED, self.successResultOf(done).word)

    def test_unexpected(self) -> None:
        """What nobody expects is logged, changes nothing, and keeps nobody from the next."""
        self.error = ZeroDivisionError("oh")
        self.assertIn("ZeroDivisionError: oh", self.outcome(FAILED))
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.error = None
        self.outcome(APPLIED)

    def test_one_after_the_other(self) -> None:
        """Whoever asks while one is under way gets the next one, which is one for all who do."""
        self.reads = []
        first, *others = [self.reload.reload() for _ in range(4)]
        self.assertEqual(1, len(self.reads))
        self.reads[0].callback(Read(Loaded(BEFORE, ()), True))
        self.assertEqual(UNCHANGED, self.successResultOf(first).word)
        self.assertEqual(2, len(self.reads))
        for other in others:
            self.assertNoResult(other)
        self.reads[1].callback(Read(self.loaded))
        self.assertEqual([APPLIED] * 3, [self.successResultOf(other).word for other in others])
        self.assertEqual((2, [AFTER]), (len(self.reads), self.swapped))

    def test_restart(self) -> None:
        """What only a restart changes is named."""
        self.loaded = Loaded(replace(AFTER, admin=Admin(address=""), metrics=Metrics(target_cap=1)), ())
        self.assertIn("admin.address and metrics changed: that takes a restart", self.outcome(APPLIED))

    def test_no_file(self) -> None:
        """Embedded defaults cannot be read anew, which is no failure."""
        self.reload = self.make(None)
        self.assertIn("without a file", self.outcome(UNCHANGED))

    def test_live(self) -> None:
        """Which configuration serves, and since when."""
        self.assertIsNone(self.reload.describe(BEFORE)["since"])
        self.reload.live()
        self.assertEqual(
            {"file": "lproxy.toml", "hash": digest(BEFORE), "since": "2023-11-14T22:13:20.250+00:00"},
            self.reload.describe(BEFORE),
        )

    def test_digest(self) -> None:
        """The same for the same meaning, another for any other, whatever the order of services."""
        one, other = Service(name="a:1", endpoints=("10.0.0.1:1",)), Service(name="b:1", endpoints=("10.0.0.1:2",))

        def of(*services: Service) -> str:
            return digest(replace(BEFORE, services=MappingProxyType({service.name: service for service in services})))

        self.assertEqual(of(one, other), of(other, one))
        self.assertEqual(3, len({digest(BEFORE), digest(AFTER), of(one)}))
