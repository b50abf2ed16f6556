# -*- test-case-name: tests.testing.test_garbage -*-
"""
Tests for L{lproxy.testing.garbage}.
"""

from __future__ import annotations

import gc
import weakref
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.testing.garbage import only_new, uncounted
from lproxy.testing.wire import Peer


class Knot(Peer):
    """One of ours, which is not lproxy's."""

    me: Any


class UncountedTests(SynchronousTestCase):
    """What waits for the collector is found, and nothing else."""

    def setUp(self) -> None:
        self.enterContext(only_new())

    def test_cycle(self) -> None:
        """All that hangs on a cycle, as far as it is the package's."""
        with uncounted() as left:
            knot = Knot()
            knot.me = knot
            knot.more = [Peer(), Peer()]  # type: ignore[attr-defined]
            del knot
        self.assertEqual(["lproxy.testing.wire.Peer"] * 2, left)
        with uncounted("tests") as left:
            knot = Knot()
            knot.me = knot
            del knot
        self.assertEqual([f"{__name__}.Knot"], left)

    def test_none(self) -> None:
        """What is freed by counting, or still in use, or was there before."""
        before = Knot()
        before.me = before
        del before
        with uncounted("") as left:
            Peer()
            kept = Knot()
            kept.me = kept
        self.assertEqual([], left)
        self.assertIs(kept, kept.me)

    def test_as_before(self) -> None:
        """The collector is as it was, and holds nothing, whatever happens in the block."""
        self.addCleanup(gc.enable)
        for enabled in (True, False):
            (gc.enable if enabled else gc.disable)()
            for error in (ValueError, None):
                try:
                    with uncounted():
                        self.assertFalse(gc.isenabled())
                        knot = Knot()
                        knot.me = knot
                        del knot
                        if error:
                            raise error
                except ValueError:
                    pass
                self.assertEqual((enabled, 0, []), (gc.isenabled(), gc.get_debug(), gc.garbage))
        self.assertEqual([], [one for one in gc.get_objects() if type(one) is Knot])


class OnlyNewTests(SynchronousTestCase):
    """The collector has less to look at, for a while."""

    def test_older(self) -> None:
        """What was there before is left alone, and is not lost."""
        knot = Knot()
        knot.me = knot
        gone = weakref.ref(knot)
        with only_new():
            del knot
            gc.collect()
            self.assertIsNotNone(gone())
        gc.collect()
        self.assertIsNone(gone())

    def test_newer(self) -> None:
        """What is made in the block is found, whatever happens there."""
        try:
            with only_new():
                with uncounted("tests") as left:
                    knot = Knot()
                    knot.me = knot
                    del knot
                self.assertEqual([f"{__name__}.Knot"], left)
                raise ValueError
        except ValueError:
            pass
        self.assertEqual(0, gc.get_freeze_count())
