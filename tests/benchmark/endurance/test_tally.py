# -*- test-case-name: tests.benchmark.endurance.test_tally -*-
"""
L{benchmark.endurance.tally}: what clients count, and whose fault a loss is.
"""

import asyncio

from twisted.trial.unittest import SynchronousTestCase

from benchmark.endurance.tally import NOTICE, Kill, Loss, Lost, Tally, excused, reasons


class ExcusedTests(SynchronousTestCase):
    """A loss is excused by the death of the worker that had the connection, and by nothing else."""

    def test_excused(self) -> None:
        """The connection was open when its worker was killed, and the client noticed soon."""
        kills = [Kill(5.0, frozenset({1})), Kill(10.0, frozenset({7, 8}))]
        cases = (
            (Loss("x", "closed", 7, 9.0, 10.1), True),
            (Loss("x", "another worker's", 1, 9.0, 10.1), False),
            (Loss("x", "opened since", 7, 10.5, 10.6), False),
            (Loss("x", "before", 7, 9.0, 9.9), False),
            (Loss("x", "long after", 7, 9.0, 10.1 + NOTICE), False),
            (Loss("x", "no connection", 0, 9.0, 10.1), False),
        )
        for loss, expected in cases:
            self.assertEqual(expected, excused(loss, kills), loss)


class TallyTests(SynchronousTestCase):
    """What is begun is done, or lost; at the end of the run it is neither."""

    def test_trial(self) -> None:
        """What ends well is done; a closed connection and a wrong answer are losses; a mistake of ours is told."""
        tally = Tally("x")
        for error in (None, Lost("another's answer"), ConnectionResetError(), asyncio.IncompleteReadError(b"", 1)):
            with tally.trial(1.0, 7) as trial:
                if error is not None:
                    raise error
            self.assertEqual(error is None, trial.well)
        for wrong in (asyncio.CancelledError, KeyError):
            with self.assertRaises(wrong), tally.trial(1.0, 7):
                raise wrong
        self.assertEqual((4, 1), (tally.begun, tally.done))
        self.assertEqual({(7, 1.0)}, {(loss.port, loss.opened) for loss in tally.losses})
        self.assertEqual("1 another's answer, 1 ConnectionResetError, 1 IncompleteReadError", reasons(tally.losses))

    def test_inexcusable(self) -> None:
        """What no killed worker had."""
        tally = Tally("x", losses=[Loss("x", "closed", port, 1.0, 3.0) for port in (7, 8)])
        self.assertEqual([8], [loss.port for loss in tally.inexcusable([Kill(2.0, frozenset({7}))])])
