# -*- test-case-name: tests.supervise.test_spec -*-
"""
L{lproxy.supervise.spec}: what survives an exec.
"""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from lproxy.supervise.places import Places
from lproxy.supervise.spec import Spec, read


class SpecTests(SynchronousTestCase):
    """Written, and read again."""

    def test_whole(self) -> None:
        """All of it is read again, the sockets are the same; its descriptors survive an exec until they are read."""
        places = Places(2)
        places.bind("web", "127.0.0.1", 0)
        places.bind("admin", "127.0.0.1", 0, shared=True)
        places.bind("127.0.0.1:0", "127.0.0.1", 0, owner="kafka 1", note="n")
        before = {place.key: [sock.getsockname() for sock in place.sockets] for place in places}
        spec = Spec(["a"], ["b"], {"X": "y"}, 2, None, "\xff", "defaults", claim=-1, every=1.5)
        spec.take(places)
        fd = spec.write()
        for one in (fd, *spec.fds()):
            self.assertTrue(os.get_inheritable(one))
        again, found = read(fd)
        self.addCleanup(found.close_all)
        self.assertEqual(spec, again)
        self.assertEqual(before, {place.key: [sock.getsockname() for sock in place.sockets] for place in found})
        self.assertEqual([False, True, False], [place.shared for place in found])
        self.assertEqual([("", ""), ("", ""), ("kafka 1", "n")], [(place.owner, place.note) for place in found])
        for one in spec.fds():
            self.assertFalse(os.get_inheritable(one))
        # the same descriptors: another program's
        for place in places:
            for sock in place.sockets:
                sock.detach()
