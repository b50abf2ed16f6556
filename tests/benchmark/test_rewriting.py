"""
L{benchmark.rewriting}: how long an answer holds the reactor.
"""

from twisted.trial.unittest import SynchronousTestCase

from benchmark import rewriting


class RewritingTests(SynchronousTestCase):
    def test_time(self) -> None:
        """It is a time, in milliseconds."""
        self.assertTrue(0 < rewriting.rewriting(10, 1) < 1000)

    def test_pieces(self) -> None:
        """The time is that of the longest piece: an answer in many takes hardly more than one of a piece."""
        asked: list[float] = []
        clock = iter(range(10_000))

        class Time:
            time = staticmethod(lambda: 0.0)

            @staticmethod
            def perf_counter() -> float:
                asked.append(next(clock))
                return asked[-1]

        self.patch(rewriting, "time", Time)
        self.assertEqual(1000.0, rewriting.rewriting(4_000, 1))
        self.assertGreater(len(asked), 4)
