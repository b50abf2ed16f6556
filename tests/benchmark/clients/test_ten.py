"""
L{benchmark.clients.ten}: endpoints, one of which may be slow.
"""

from twisted.trial.unittest import SynchronousTestCase

from benchmark.clients.ten import Endpoint, Place


class PlaceTests(SynchronousTestCase):
    def test_slow(self) -> None:
        """One that is told to be slow is, from then on; how often it was asked is counted, and told once."""
        place = Place()
        self.assertEqual((0.0, b"01234567890123456789"), place.answer("/item/1"))
        self.assertEqual((0.0, b"slow"), place.answer("/slow/500"))
        self.assertEqual(0.5, place.answer("/item/2")[0])
        self.assertEqual([(0.0, b"2"), (0.0, b"0")], [place.answer("/asked") for _ in range(2)])

    def test_pieces(self) -> None:
        """Requests may come in pieces, and several at once: each is answered."""
        place = Place()
        endpoint = Endpoint(place)
        written: list[bytes] = []

        class Transport:
            write = written.append

        endpoint.transport = Transport()  # type: ignore[assignment]
        for piece in (b"GET /a HTTP/1.1\r\n", b"\r\nGET /b HTTP/1.1\r\n\r\nGET", b" /c HTTP/1.1\r\n\r\n"):
            endpoint.data_received(piece)
        self.assertEqual((3, 3), (len(written), place.asked))
        self.assertTrue(written[0].startswith(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n0123"))
