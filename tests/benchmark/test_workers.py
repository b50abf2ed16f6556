# -*- test-case-name: tests.benchmark.test_workers -*-
"""
L{benchmark.workers}: figures, and clients that count.
"""

import socket
import threading

from twisted.trial.unittest import SynchronousTestCase

from benchmark.workers import Counting, Found


class FoundTests(SynchronousTestCase):
    """What was measured, in words."""

    def found(self, **more: float) -> Found:
        values = {"supervisor_mib": 19.0, "p99_quiet_ms": 2.0, "p99_ms": 3.0, **more}
        return Found({1: [30.0, 40.0, 35.0], 2: [36.0, 34.0, 42.0]}, {1: [9.0], 2: [17.0]}, **values)  # type: ignore[arg-type]

    def test_lines(self) -> None:
        """Medians, ratios and aims."""
        text = "\n".join(self.found().lines())
        self.assertIn("1 worker(s): 35.0 us of CPU for a request, 9 requests/s", text)
        self.assertIn("2 workers to 1: 1.03 of the CPU for a request", text)
        self.assertIn("p99 meanwhile: 3.0 ms, 1.5 of 2.0 ms", text)

    def test_missed(self) -> None:
        """What is refused or lost is missed, and so is a large supervisor."""
        self.assertEqual([], self.found().missed())
        self.assertEqual(
            ["refused 1", "lost 2", "the supervisor has 30.0 MiB"],
            self.found(refused=1, lost=2, supervisor_mib=30.0).missed(),
        )


class CountingTests(SynchronousTestCase):
    """Clients of one connection for each request."""

    def test_counts(self) -> None:
        """Answers are told from halves of them, and from nobody's."""
        answers = [b"HTTP/1.1 200 OK\r\n\r\ntwenty bytes of text", b"HTTP/1.1 200 OK\r\n\r\ntwenty", b""]
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            client = Counting(port, 1)
            with client:
                for answer in answers:
                    with server.accept()[0] as one:
                        one.recv(1000)
                        if answer == answers[-1]:
                            client._end.set()
                        one.sendall(answer)
        self.assertEqual((1, 2, 0), (len(client.seconds), client.lost, client.refused))
        self.assertGreater(client.p99_ms(), 0.0)
        again = Counting(port, 1)
        thread = threading.Timer(0.05, again._end.set)
        thread.start()
        again._run()
        thread.join()
        self.assertGreater(again.refused, 0)
