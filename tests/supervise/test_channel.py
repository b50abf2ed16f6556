# -*- test-case-name: tests.supervise.test_channel -*-
"""
L{lproxy.supervise.channel}: messages and descriptors between processes.
"""

from __future__ import annotations

import os
import socket

from twisted.trial.unittest import SynchronousTestCase

from lproxy.supervise.channel import HEAD, Channel, Gone, Message, pair


class ChannelTests(SynchronousTestCase):
    """Two ends."""

    def setUp(self) -> None:
        self.one, theirs = pair()
        self.other = Channel(theirs)
        self.addCleanup(self.one.close)
        self.addCleanup(self.other.close)

    def heard(self, channel: Channel) -> list[Message]:
        return list(channel.receive())

    def test_both_ways(self) -> None:
        """What one side says the other hears, in order, and the reverse."""
        self.one.send({"do": "a"})
        self.one.send({"do": "b", "text": "\u00fc"})
        self.other.send({"do": "c"})
        self.assertEqual([{"do": "a"}, {"do": "b", "text": "\u00fc"}], [m.values for m in self.heard(self.other)])
        self.assertEqual([{"do": "c"}], [m.values for m in self.heard(self.one)])
        self.assertEqual([], self.heard(self.one))

    def test_descriptors(self) -> None:
        """Descriptors come with the message that they were sent with, also where several wait; ours may be closed."""
        ends = [os.pipe() for _ in range(3)]
        self.one.send({"n": 0})
        for number, (read, write) in enumerate(ends):
            self.one.send({"n": number + 1}, [read, write])
            os.close(read)
        messages = self.heard(self.other)
        self.assertEqual([(0, 0), (1, 2), (2, 2), (3, 2)], [(m.values["n"], len(m.fds)) for m in messages])
        for (_, write), message in zip(ends, messages[1:], strict=True):
            os.write(write, b"%d" % message.values["n"])
            os.close(write)
            self.assertEqual(b"%d" % message.values["n"], os.read(message.fds[0], 10))
            for fd in message.fds:
                self.assertFalse(os.get_inheritable(fd))
                os.close(fd)

    def test_full(self) -> None:
        """What the other side does not take waits, nothing blocks, and it comes whole and in order."""
        text = "x" * 300_000
        fd = os.open(os.devnull, os.O_RDONLY)
        for number in range(4):
            self.one.send({"n": number, "text": text}, [fd])
        os.close(fd)
        self.assertTrue(self.one.waiting)
        found: list[Message] = []
        while len(found) < 4:
            found += self.heard(self.other)
            self.one.flush()
        self.assertFalse(self.one.waiting)
        self.assertEqual([0, 1, 2, 3], [m.values["n"] for m in found])
        self.assertEqual({text}, {m.values["text"] for m in found})
        for message in found:
            os.close(message.fds[0])

    def test_gone(self) -> None:
        """The end of the other side is told after what it had said; saying something to it raises nothing."""
        self.one.send({"last": True})
        self.one.close()
        messages = self.other.receive()
        self.assertEqual({"last": True}, next(messages).values)
        self.assertRaises(Gone, next, messages)
        self.other.send({"anybody": True})
        self.assertFalse(self.other.waiting)

    def test_nonsense(self) -> None:
        """What is no message ends it: too long, no JSON, no object, fewer descriptors than it says."""
        for sent in (
            HEAD.pack(1 << 31, 0),
            HEAD.pack(3, 0) + b"{{{",
            HEAD.pack(2, 0) + b"[]",
            HEAD.pack(2, 1) + b"{}",
        ):
            ours, theirs = socket.socketpair()
            channel = Channel(theirs)
            ours.sendall(sent)
            self.assertRaises(Gone, list, channel.receive())
            ours.close()
            channel.close()

    def test_closed(self) -> None:
        """Descriptors that nobody takes are closed with it."""
        before = len(os.listdir("/proc/self/fd"))
        ours, theirs = pair()
        other = Channel(theirs)
        fd = os.open(os.devnull, os.O_RDONLY)
        ours.send({"text": "y" * 1_000_000}, [fd])
        ours.send({}, [fd])
        os.close(fd)
        list(other.receive())
        for channel in (ours, other, other):
            channel.close()
        ours.send({"nobody": True})
        self.assertEqual((-1, before), (ours.fileno(), len(os.listdir("/proc/self/fd"))))

    def test_wait(self) -> None:
        """Waiting ends when there is something to read, or with the time; what is to be sent is sent meanwhile."""
        self.assertFalse(self.one.wait(0.01))
        self.other.send({})
        self.assertTrue(self.one.wait(5))

    def test_peer(self) -> None:
        """Who is at the other end is the kernel's word."""
        self.assertEqual((os.getpid(), os.geteuid()), self.one.peer())
