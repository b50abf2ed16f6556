"""
L{benchmark.clients.caller}: what a first answer has to be, and what is counted of the others.
"""

import socket

from twisted.trial.unittest import SynchronousTestCase

from benchmark.clients.caller import Answers, Caller, callers, message
from benchmark.clients.grpc import HEAD, STATUS
from benchmark.clients.wire import DATA, HEADERS, PREFACE, RST_STREAM, Wire, frame
from tests.benchmark.clients.server import server
from tests.benchmark.clients.test_grpc import upstream

OK = frame(HEADERS, 4, 1, b"\x88")


def saying(*frames: bytes) -> object:
    """A server that says the same to everybody who has said something."""

    def serve(connection: socket.socket) -> None:
        wire = Wire(connection, 65_535)
        connection.recv(len(PREFACE), socket.MSG_WAITALL)
        list(wire.read())
        wire.out += b"".join(frames)
        wire.flush()
        connection.recv(1)
        connection.recv(100)

    return serve


class CallerTests(SynchronousTestCase):
    def first(self, sent: bytes, *frames: bytes) -> Caller:
        one = Caller(server(self, saying(*frames)), b"/x/", sent)  # type: ignore[arg-type]
        self.addCleanup(one.close)
        one.first()
        return one

    def test_first(self) -> None:
        """A GET is answered by 200; how long the answer is, all the others have to be."""
        self.assertEqual(3, self.first(b"", OK, frame(DATA, 0, 1, b"a"), frame(DATA, 1, 1, b"bc")).expected)

    def test_not_good(self) -> None:
        """Another status, a reset stream, a gRPC answer without a status or with a bad one: nothing is measured."""
        bad = frame(HEADERS, 5, 1, b"\x48\x03503")
        for sent, frames in (
            (b"", [bad]),
            (b"", [frame(RST_STREAM, 0, 1, bytes(4))]),
            (message(1), [OK, frame(DATA, 1, 1, b"x")]),
            (message(1), [frame(HEADERS, 4, 1, HEAD), frame(HEADERS, 5, 1, STATUS[:-1] + b"7")]),
        ):
            self.assertRaises(ValueError, self.first, sent, *frames)

    def test_grpc(self) -> None:
        """The upstream of ours is good; a message has its prefix."""
        made = callers(2, server(self, upstream), b"/x/", message(20))
        for one in made:
            self.addCleanup(one.close)
            self.assertEqual(25, one.expected)
        self.assertEqual(b"\x00\x00\x00\x00\x02xx", message(2))

    def test_window(self) -> None:
        """A call that the connection's window does not hold must wait."""
        one = self.first(b"x" * 10, frame(HEADERS, 4, 1, HEAD), frame(HEADERS, 5, 1, STATUS))
        one.wire.window = 10
        self.assertTrue(one.may_call())
        one.call()
        self.assertFalse(one.may_call())

    def test_counted(self) -> None:
        """Streams that end well are told; a reset one, and one that does not begin with 200, are errors."""
        frames = [
            *(OK, frame(DATA, 1, 1)),
            *(frame(HEADERS, 4, 3, b"\x88"), frame(DATA, 1, 3, b"abc")),
            frame(RST_STREAM, 0, 5, bytes(4)),
            *(frame(HEADERS, 4, 7, b"\x48\x03503"), frame(DATA, 1, 7, b"de")),
        ]
        one = self.first(b"", *frames[:2])
        answers = Answers([one])
        one.wire.rest = b"".join(frames[2:])
        one.wire.connection.close()
        ours, other = socket.socketpair()
        self.addCleanup(ours.close)
        one.wire.connection = ours
        other.sendall(frame(DATA, 0, 9))
        other.close()
        self.assertEqual([3, 7], list(answers.ended(one)))
        self.assertEqual((5, 2), (answers.bodies, answers.errors))
