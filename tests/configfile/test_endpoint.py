# -*- test-case-name: tests.configfile.test_endpoint -*-
"""
Endpoint strings: what passes here, Twisted takes.
"""

from __future__ import annotations

from twisted.internet.endpoints import serverFromString
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.configfile.address import listen_address, socket_of
from lproxy.configfile.problem import Wrong

GOOD = (
    "tcp:80",
    "tcp:port=80",
    "tcp:0:interface=127.0.0.1:backlog=5",
    "tcp:80:127.0.0.1:5",
    "tcp6:80",
    "tcp6:port=80:interface=\\:\\:1",
    "tcp6:80:5:\\:\\:1",
    "unix:/run/x",
    "unix:/run/x:660",
    "unix:/run/x:mode=660:backlog=5:lockfile=0",
)

BAD = {
    "tcp:x": 'port "x" is no number; write one, as in "tcp:4140"',
    "tcp:65536": "port 65536 is not one of 0 to 65535",
    "tcp:-1": 'port "-1" is no number',
    "tcp:interface=127.0.0.1": '"tcp:interface=127.0.0.1" has no port; write one, as in "tcp:4140"',
    "tcp:80:interface=localhost": 'interface "localhost" is no IPv4 address; write one, such as 127.0.0.1',
    "tcp:80:interface=\\:\\:1": 'interface "::1" is no IPv4 address',
    "tcp6:80:interface=127.0.0.1": 'interface "127.0.0.1" is no IPv6 address',
    "tcp:80:host=x": 'has no argument "host"; those of tcp are port, interface, backlog',
    "tcp:80:127.0.0.1:5:6": "has too many arguments",
    "unix:/run/x:mode=rw": 'mode "rw" is no octal number',
    "unix:mode=660": "has no address",
    f"unix:/{'x' * 107}": "the path of a UNIX socket is longer than 107 bytes",
    "systemd:index=0": "has no domain",
    "systemd:domain=TCP:index=0": 'domain "TCP" is none of INET, INET6, UNIX',
    "systemd:domain=INET": "by its index or its name, one of them",
    "systemd:domain=INET:index=0:name=x": "by its index or its name, one of them",
    "ssl:443": "is no plain stream socket",
}


class EndpointTests(SynchronousTestCase):
    def test_good(self) -> None:
        """Good ones are kept as they are, and are endpoints to Twisted."""
        for text in GOOD:
            self.assertEqual(text, listen_address(text))
            self.assertTrue(serverFromString(MemoryReactorClock(), text))
        for text in ("systemd:domain=INET:index=0", "systemd:domain=UNIX:name=web"):
            self.assertEqual(text, listen_address(text))

    def test_bad(self) -> None:
        """Whatever Twisted would refuse at start, or could not be accepted from, is refused with its reason."""
        for text, says in BAD.items():
            error = self.assertRaises(Wrong, listen_address, text)
            self.assertIn(says, f"{error.wrong}; {error.right}", text)

    def test_socket(self) -> None:
        """The address that is bound is known for those of an IP and a port, in whatever order they have them."""
        self.assertEqual("127.0.0.1", str(getattr(socket_of("tcp:80:127.0.0.1"), "ip", None)))
        self.assertEqual("::1", str(getattr(socket_of("tcp6:80:5:\\:\\:1"), "ip", None)))
        self.assertIsNone(socket_of("unix:/run/x"))
