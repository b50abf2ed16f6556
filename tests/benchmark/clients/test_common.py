"""
L{benchmark.clients.common}: requests, answers and percentiles.
"""

import socket

from twisted.trial.unittest import SynchronousTestCase

from benchmark.clients import common
from tests.benchmark.clients.server import OK, read_request, server


class CommonTests(SynchronousTestCase):
    def test_percentiles(self) -> None:
        """Nearest rank of sorted seconds, in microseconds; zero of none."""
        found = common.percentiles([at / 1000 for at in range(1000)])
        self.assertEqual([500_000, 900_000, 990_000, 999_000], [round(value) for value in found.values()])
        self.assertEqual({0.0}, set(common.percentiles([]).values()))
        self.assertEqual([7e6] * 4, list(common.percentiles([7.0]).values()))

    def test_percentile(self) -> None:
        """The ends are the least and the greatest, not what lies beyond."""
        self.assertEqual([1, 2, 3, 3], [common.percentile([1, 2, 3], percent) for percent in (0, 50, 99.9, 100)])

    def test_requests(self) -> None:
        """No two requests are alike: nothing can be remembered from one to the next."""
        requests = common.Requests(80)
        self.assertEqual(1000, len({requests.next() for _ in range(1000)}))

    def test_answers(self) -> None:
        """An answer's length is known once its head is whole; anything but a 200 is the proxy's fault."""
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
        self.assertIsNone(common.answer_length(answer[:20]))
        self.assertEqual(len(answer), common.answer_length(answer))
        self.assertRaises(ValueError, common.answer_length, b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
        self.assertRaises(ValueError, common.answer_length, b"HTTP/1.1 200 OK\r\nX-Content-Length: 3\r\n\r\n")
        self.assertEqual(41, common.answer_length(b"http/1.1 200 ok\r\ncontent-LENGTH:3 \r\n\r\n"))

    def test_exchange(self) -> None:
        """A request is sent and its answer read to the end, in whatever pieces; one that is cut short is an error."""
        heard = []

        def serve(connection: socket.socket) -> None:
            heard.append(read_request(connection))
            for at in range(len(OK)):
                connection.sendall(OK[at : at + 1])
            heard.append(read_request(connection))
            connection.sendall(OK[:-1])

        with common.connect(server(self, serve)) as connection:
            requests = common.Requests(80)
            first, second = requests.next(), requests.next()
            common.exchange(connection, first)
            self.assertRaises(ConnectionError, common.exchange, connection, second)
        self.assertEqual([first, second], heard)
