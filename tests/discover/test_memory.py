# -*- test-case-name: tests.discover.test_memory -*-
"""
Tests for L{lproxy.discover.memory}.
"""

from __future__ import annotations

import gc
import tracemalloc

from twisted.trial.unittest import SynchronousTestCase

from lproxy.discover.memory import Memory
from lproxy.target import Authority, Endpoint
from tests.discover.doubles import Told

WEB, DB = Authority("web", 80), Authority("db", 5432)
ONE, TWO = Endpoint("10.0.0.1", 80), Endpoint("10.0.0.2", 80)


class Latest:
    """A watcher that holds the latest alone, as a service does."""

    def endpoints(self, endpoints, about={}):  # noqa: B006 - never changed
        self.latest = tuple(endpoints)

    def unresolved(self, error):
        raise AssertionError(error)


class MemoryTests(SynchronousTestCase):
    """Endpoints that somebody pushes."""

    def setUp(self) -> None:
        self.memory, self.told = Memory(), Told()

    def test_known(self) -> None:
        """What is known is told within C{watch}, the empty set included."""
        self.memory.set(WEB, [ONE, TWO, ONE])
        self.memory.set(DB, [])
        self.memory.watch(WEB, self.told)
        self.memory.watch(DB, self.told)
        self.assertEqual([["10.0.0.1:80", "10.0.0.2:80"], []], self.told.events)

    def test_update(self) -> None:
        """Every watcher of the target is told of a change, nobody else, and nobody after it has closed."""
        first, second, other = Told(), Told(), Told()
        watch = self.memory.watch(WEB, first)
        self.memory.watch(WEB, second)
        self.memory.watch(DB, other)
        self.memory.set(WEB, [ONE])
        watch.close()
        watch.close()
        self.memory.set(WEB, [])
        self.assertEqual([["10.0.0.1:80"]], first.events)
        self.assertEqual([["10.0.0.1:80"], []], second.events)
        self.assertEqual([], other.events)

    def test_failure(self) -> None:
        """A failure is told where there has never been an answer, and again to whoever waits."""
        error = RuntimeError("control plane is away")
        watch = self.memory.watch(WEB, self.told)
        self.memory.fail(WEB, error)
        watch.refresh()
        self.assertEqual([error, error], self.told.take())
        self.memory.set(WEB, [ONE])
        self.memory.fail(WEB, error)
        watch.refresh()
        self.assertEqual([["10.0.0.1:80"]], self.told.take())

    def test_close_while_told(self) -> None:
        """A watch that another watcher closes while all are told is told nothing more."""

        class Closer(Told):
            def endpoints(self, endpoints, about={}):  # noqa: B006 - never changed
                watch.close()

        self.memory.watch(WEB, Closer())
        watch = self.memory.watch(WEB, self.told)
        self.memory.set(WEB, [ONE])
        self.assertEqual([], self.told.events)

    def test_forget(self) -> None:
        """Nothing is held of a target that is neither known nor watched."""
        watch = self.memory.watch(WEB, self.told)
        self.memory.fail(DB, RuntimeError())
        watch.close()
        self.memory.set(DB, [ONE])
        self.memory.forget(DB)
        self.memory.forget(DB)
        self.assertEqual("<Memory 0 targets>", repr(self.memory))

    def test_forget_watched(self) -> None:
        """Watchers of a forgotten target keep what they have, and are told what comes."""
        self.memory.set(WEB, [ONE])
        self.memory.watch(WEB, self.told)
        self.memory.forget(WEB)
        self.assertEqual([["10.0.0.1:80"]], self.told.take())
        self.memory.set(WEB, [TWO])
        self.assertEqual([["10.0.0.2:80"]], self.told.take())

    def test_flat(self) -> None:
        """10,000 updates without a request: the set is correct, memory flat."""
        watcher = Latest()
        self.memory.watch(WEB, watcher)

        def update(count: int) -> None:
            for i in range(count):
                self.memory.set(WEB, [Endpoint(f"10.0.{i >> 8 & 255}.{i & 255}", 80), ONE])

        update(100)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        update(10_000)
        gc.collect()
        self.assertLess(tracemalloc.get_traced_memory()[0] - before, 10_000)
        self.assertEqual((Endpoint("10.0.39.15", 80), ONE), watcher.latest)
