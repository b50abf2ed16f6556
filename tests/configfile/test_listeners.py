# -*- test-case-name: tests.configfile.test_listeners -*-
"""
Listeners, each alone and beside each other and the admin server.
"""

from __future__ import annotations

from collections.abc import Mapping

from lproxy.config import Listen
from tests.configfile.case import LISTEN, PLUGINS, Configure, FileTestCase, listener


class ListenTests(FileTestCase):
    def test_replaces_defaults(self) -> None:
        """One listener in the file, and the default ones are gone."""
        self.assertEqual((Listen(name="web", address="127.0.0.1:4140"),), self.good(LISTEN, {}).listen)

    def test_none(self) -> None:
        """A proxy that is told to listen nowhere warns."""
        self.problems(
            "listen = []",
            "f:1: warning: listen: no listener: the proxy serves nothing; leave the key out for the defaults",
        )

    def test_name(self) -> None:
        """A listener's name is required, unique, and fit for a label."""
        self.problems(
            '[[listen]]\naddress = "127.0.0.1:0"',
            "f:1: listen[0].name: is missing; the listener's name in logs and metrics; unique",
        )
        self.says(listener(name=""), "listen[0].name: is empty")
        self.says(listener(name="a b"), "has other characters than letters, digits, _, . and -")
        self.says(listener() * 2, '"web" is taken; it is that of listen[0]; names must be unique')
        self.good(listener(name="A-z_0.9"))

    def test_taken_addresses(self) -> None:
        """Two listeners, or one and the admin server, cannot have one address, however it is spelt."""
        for one, other in (
            ("127.0.0.1:80", "127.0.0.1:080"),
            ("[::1]:80", "[0::1]:80"),
            ("0.0.0.0:80", "tcp:80"),
            ("127.0.0.1:80", "tcp:80:interface=127.0.0.1"),
            ("[::1]:80", "tcp6:80:interface=\\:\\:1"),
            ("unix:/a", "unix:/a"),
        ):
            text = listener(address=one) + listener(name="b", address=other)
            self.says(text, "is taken by listen[0].address")
        self.says(listener(address="127.0.0.1:4191"), "is taken by admin.address (127.0.0.1:4191)")
        self.says('[admin]\naddress = "127.0.0.1:4140"', "is taken by admin.address (127.0.0.1:4140)")

    def test_admin(self) -> None:
        """The admin server has an IP address, whichever way it is given."""
        for address in ("unix:/run/x", "systemd:domain=UNIX:index=0"):
            self.problems(
                f'[admin]\naddress = "{address}"',
                f'f:2: admin.address: "{address}" is a UNIX socket; the admin server needs IP:port, such as '
                '"127.0.0.1:4191"',
            )
        for address in ("", "[::1]:4191", "tcp:4191", "systemd:domain=INET:index=0"):
            self.good(f'[admin]\naddress = "{address}"')

    def test_overlapping_addresses(self) -> None:
        """A wildcard beside an address of the same port is an error: the second cannot be bound."""
        self.problems(
            listener(address="127.0.0.1:80") + listener(name="b", address="0.0.0.0:80"),
            'f:6: listen[1].address: "0.0.0.0:80" overlaps listen[0].address (127.0.0.1:80): both cannot be bound; '
            "give each its own port, or leave out the narrower one",
        )
        for one, other in (
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "0.0.0.0:80"),
            ("0.0.0.0:80", "[::]:80"),
            ("[::]:80", "127.0.0.1:80"),
            ("[::1]:80", "[::]:80"),
            ("tcp:80", "tcp6:80"),
        ):
            self.says(listener(address=one) + listener(name="b", address=other), "both cannot be bound")
        self.says('admin.address = "0.0.0.0:80"\n' + listener(address="127.0.0.1:80"), "overlaps admin.address")

    def test_addresses_beside_each_other(self) -> None:
        """Fresh ports, other ports, other addresses and an admin server that is off clash with nothing."""
        for one, other in (
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("tcp:0", "tcp:0"),
            ("127.0.0.1:80", "127.0.0.2:80"),
            ("127.0.0.1:80", "127.0.0.1:81"),
            ("127.0.0.1:80", "[::1]:80"),
            ("0.0.0.0:80", "[::1]:80"),
            ("0.0.0.0:80", "[::]:81"),
            ("unix:/a", "unix:/b"),
        ):
            self.good(listener(address=one) + listener(name="b", address=other))
        self.good('[admin]\naddress = ""\n' + listener(address="127.0.0.1:4191"))

    def test_detect(self) -> None:
        """Detection names each protocol that is there once, and never tcp."""
        self.assertEqual(("kafka", "http"), self.good(listener(detect=["kafka", "http"])).listen[0].detect)
        self.assertEqual((), self.good(listener(detect=[])).listen[0].detect)
        self.says(listener(detect=["http", "tcp"]), "listen[0].detect[1]: tcp always comes last by itself")
        self.says(listener(detect=["http", "http"]), 'listen[0].detect[1]: "http" is given twice')
        self.says(listener(detect=["kafak"]), 'there is no protocol "kafak"; did you mean "kafka"?')
        self.says(listener(detect=["nats"]), 'there is no protocol "nats"; write "http" or "kafka", or install its')
        for name, says in {
            "https": "TLS is what a protocol is spoken in",
            "gRPC": 'every version of HTTP, gRPC in it, is "http": write that',
            "websocket": 'WebSockets begin as HTTP: write "http"',
            "mysql": 'protocol = "tcp" forwards it as it is, or install its plugin',
        }.items():
            self.says(listener(protocol=name), f'there is no protocol "{name}"; {says}')

    def test_protocol(self) -> None:
        """A protocol is http, tcp or a plugin's, with and without those two among the plugins."""
        built_in: Mapping[str, Configure] = {"http": dict, "tcp": dict}
        for plugins in (PLUGINS, {**PLUGINS, **built_in}):
            for name in ("http", "tcp", "kafka"):
                self.assertEqual(
                    name, self.good(listener(protocol=name, target="10.0.0.1:1"), plugins).listen[0].protocol
                )
        self.says(listener(protocol="htp"), 'listen[0].protocol: there is no protocol "htp"; did you mean "http"?')

    def test_protocol_and_detect(self) -> None:
        """Detection beside a configured protocol is a warning: it never happens."""
        self.problems(
            listener(protocol="tcp", target="10.0.0.1:1", detect=["http"]),
            "f:6: warning: listen[0].detect: is unused beside protocol; a configured protocol is never detected; leave "
            "out one of the two",
        )

    def test_nowhere(self) -> None:
        """A protocol that names no authority, where the target is the authority, is a warning: where would it go?"""
        for name in ("tcp", "kafka"):
            self.problems(
                listener(protocol=name),
                f"f:1: warning: listen[0].target: {name} names no authority: only connections that iptables redirected "
                'go anywhere; write "host:port", "service:NAME", or "original-dst" for those alone',
            )
        for target in ("original-dst", "web.local:80"):
            self.good(listener(protocol="tcp", target=target))
        # of others' protocols that is not known
        self.good(listener(protocol="mqtt"), {"mqtt": dict})

    def test_loops(self) -> None:
        """The proxy is never told to connect to itself."""
        for address, target in (
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("[::1]:80", "[0::1]:80"),
            ("127.0.0.1:80", "localhost:80"),
            ("0.0.0.0:80", "127.0.0.2:80"),
            ("127.0.0.1:80", "127.0.0.1:4191"),
            ("tcp:80", "localhost:80"),
        ):
            self.says(listener(address=address, target=target), "listen[0].target: ")
            self.says(listener(address=address, target=target), "is the proxy's own ")
        self.says(
            LISTEN + '[services."a:80"]\nendpoints = ["127.0.0.1:4140"]',
            'services."a:80".endpoints[0]: "127.0.0.1:4140" is the proxy\'s own listen[0].address: a loop',
        )
        for target in ("127.0.0.1:81", "127.0.0.2:80", "[::1]:80", "web.local:80"):
            self.good(listener(address="127.0.0.1:80", target=target))

    def test_forwarded(self) -> None:
        """What becomes of X-Forwarded-For, and whose networks are trusted."""
        config = self.good(listener(forwarded="append", trusted=["10.0.0.0/8", "::1", "192.0.2.1"]))
        self.assertEqual("append", config.listen[0].forwarded)
        self.assertEqual(("10.0.0.0/8", "::1/128", "192.0.2.1/32"), config.listen[0].trusted)
        self.says(listener(forwarded="add"), "listen[0].forwarded: must be ")
        says = '"10.0.0.1/8" has bits set beyond its /8; write "10.0.0.0/8"'
        self.says(listener(trusted=["10.0.0.1/8"]), f"listen[0].trusted[0]: {says}")
        says = '"lb.local" is no network; write one such as "10.0.0.0/8", or an IP address'
        self.says(listener(trusted=["lb.local"]), f"listen[0].trusted[0]: {says}")

    def test_trusted_unused(self) -> None:
        """Where everybody's are removed, nobody needs to be trusted."""
        for forwarded in ("replace", "remove"):
            self.says(listener(forwarded=forwarded, trusted=["10.0.0.0/8"]), "listen[0].trusted: is unused: ")
