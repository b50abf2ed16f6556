# -*- test-case-name: tests.discover.test_system -*-
"""
Tests for L{lproxy.discover.system}.
"""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lproxy.discover.system import ResolvConf, System, parse_hosts, parse_resolv_conf

HOSTS = """\
127.0.0.1 localhost
# 10.9.9.9 commented
10.0.0.1  Web.Local web   # the shop
fd00::1   web
10.0.0.1  web
nonsense  web
10.0.0.2
"""

RESOLV_CONF = """\
# made by hand
; and by foot
nameserver 10.0.0.53
nameserver fe80::53%eth0 trailing
nameserver nonsense
nameserver 10.0.0.54
nameserver 10.0.0.55
nameserver
domain ignored.example
search default.svc.cluster.local svc.cluster.local. . bad..domain
options timeout:1 ndots:5 rotate
"""


class ParseTests(SynchronousTestCase):
    """What the files say."""

    def test_hosts(self) -> None:
        """All addresses of a name, in order, each once; what is no entry is passed over."""
        self.assertEqual(
            {"localhost": ("127.0.0.1",), "web.local": ("10.0.0.1",), "web": ("10.0.0.1", "fd00::1")},
            parse_hosts(HOSTS),
        )

    def test_resolv_conf(self) -> None:
        """The first three resolvers, the last search list, ndots."""
        self.assertEqual(
            ResolvConf(
                (("10.0.0.53", 53), ("fe80::53%eth0", 53), ("10.0.0.54", 53)),
                ("default.svc.cluster.local", "svc.cluster.local"),
                5,
            ),
            parse_resolv_conf(RESOLV_CONF),
        )

    def test_empty(self) -> None:
        """Where nothing is said, a resolver on this machine, and no search."""
        self.assertEqual(ResolvConf((("127.0.0.1", 53),), (), 1), parse_resolv_conf("options ndots:x\nsearch\n"))

    def test_ndots_bounded(self) -> None:
        """ndots has a bound, as with libc."""
        self.assertEqual(15, parse_resolv_conf("options ndots:99999").ndots)


class SystemTests(SynchronousTestCase):
    """The machine's files, as they are now."""

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.hosts, self.resolv_conf = folder / "hosts", folder / "resolv.conf"
        self.system = System(str(self.hosts), str(self.resolv_conf))

    def test_missing(self) -> None:
        """Files that are not there are empty ones."""
        self.assertEqual(
            ((), (("127.0.0.1", 53),), ("web",)),
            (self.system.addresses("web"), self.system.servers(), self.system.candidates("web")),
        )

    def test_change(self) -> None:
        """A change is seen the next time, and so is the file's end."""
        self.hosts.write_text("10.0.0.1 web\n")
        self.resolv_conf.write_text("nameserver 10.0.0.53\nsearch a\n")
        self.assertEqual(("10.0.0.1",), self.system.addresses("web"))
        self.assertEqual(("10.0.0.1",), self.system.addresses("web."))
        self.assertEqual(("web.a", "web"), self.system.candidates("web"))
        self.hosts.write_text("10.0.0.2 web\n")
        os.utime(self.hosts, ns=(1, 1))
        self.assertEqual(("10.0.0.2",), self.system.addresses("web"))
        self.hosts.unlink()
        self.assertEqual((), self.system.addresses("web"))
        self.assertEqual((("10.0.0.53", 53),), self.system.servers())

    def test_unchanged(self) -> None:
        """A file that has not changed is not read again."""
        self.hosts.write_text("10.0.0.1 web\n")
        self.system.addresses("web")
        self.patch(self.system._hosts, "_parse", None)
        self.assertEqual(("10.0.0.1",), self.system.addresses("web"))
