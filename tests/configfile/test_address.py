# -*- test-case-name: tests.configfile.test_address -*-
"""
Addresses to listen on and to connect to, as users write them.
"""

from __future__ import annotations

from lproxy.configfile import load
from tests.configfile.case import FileTestCase, listener


class AddressTests(FileTestCase):
    def test_good_addresses(self) -> None:
        """Listeners take IPv4, IPv6, any port, and endpoint strings, those of plugins included."""
        for address in (
            "127.0.0.1:80",
            "0.0.0.0:0",
            "[::]:80",
            "tcp:80",
            "tcp6:port=80:interface=\\:\\:1",
            "unix:/run/x",
            "systemd:domain=INET:index=0",
            "haproxy:tcp:80",
            "onion:80:key=x",
            "fd:3",
        ):
            self.assertEqual(address, self.good(listener(address=address)).listen[0].address)

    def test_bad_addresses(self) -> None:
        """Anything else is refused, with what was probably meant."""
        examples = 'write IP:port such as "127.0.0.1:4140", or an endpoint string such as "tcp:4140"'
        for address, says in {
            "": "is empty",
            "127.0.0.1": '"127.0.0.1" has no port; add one, as in "127.0.0.1:80"',
            "127.0.0.1:": f'"127.0.0.1:" is no address with a port; {examples}',
            "127.0.0.1:65536": "port 65536 is not one of 0 to 65535",
            "127.0.0.1:+80": f'"127.0.0.1:+80" is no address with a port; {examples}',
            "127.0.0.1:８０": f'"127.0.0.1:８０" is no address with a port; {examples}',
            "127.0.0.256:80": f'"127.0.0.256" is no IP address; {examples}',
            ":4140": f'":4140" has no IP address; {examples}',
            "localhost:4140": '"localhost" is no IP address; write one, such as "127.0.0.1:4140"',
            "tpc:4140": '"tpc" is no IP address; did you mean "tcp:4140"?',
            "proxy.local:80": f'"proxy.local" is no IP address; {examples}',
            "::1:80": '"::1:80" does not tell address from port; write "[::1]:80"',
            "[::1]": '"[::1]" has no port; add one, as in "[::1]:80"',
            "[127.0.0.1]:80": '"[127.0.0.1]:80": brackets are for IPv6 addresses; write "127.0.0.1:80"',
            "[::1]80": f'"[::1]80" is no address with a port; {examples}',
            "tcp:": f'"tcp:" is no address with a port; {examples}',
        }.items():
            self.says(listener(address=address), f"listen[0].address: {says}")

    def test_good_targets(self) -> None:
        """A target is a word, a host and port, or a service of the file."""
        services = '[services.db]\nendpoints = ["127.0.0.1:1"]\n'
        for target in ("authority", "original-dst", "web.local:80", "10.0.0.1:80", "[::2]:80", "service:db"):
            config = self.good(services + listener(target="service:db") + listener(name="b", target=target))
            self.assertEqual(target, config.listen[1].target)

    def test_bad_targets(self) -> None:
        """Anything else is refused, with what was probably meant."""
        for target, says in {
            "authorty": '"authorty" is no target; did you mean "authority"?',
            "original_dst": '"original_dst" is no target; did you mean "original-dst"?',
            "web": '"web" is no address with a port; write "host:port", "authority", "original-dst" or "service:NAME"',
            "service:wep:1": 'there is no service "wep:1"; did you mean "web:1"?',
            "service:zzz": 'there is no service "zzz"; add [services.zzz] with its endpoints',
            "http://web:80": '"http://web:80" is a URL; write its "host:port" alone',
            "web:0": "port 0 is not one of 1 to 65535",
            "web:65536": "port 65536 is not one of 1 to 65535",
            "10.0.0.256:80": '"10.0.0.256" is no IP address',
            "0.0.0.0:80": '0.0.0.0 can be listened on, not connected to; did you mean "127.0.0.1:80"?',
            "we b:80": '"we b" is no IP address',
        }.items():
            text = listener(target=target) + '[services."web:1"]\nendpoints = ["127.0.0.1:1"]\n'
            self.says(text, f"listen[0].target: {says}")
        self.says(
            listener(target="db")
            + listener(name="b", target="service:db")
            + '[services.db]\nendpoints = ["127.0.0.1:1"]',
            'listen[0].target: "db" has no port; write "service:db" for the service of that name',
        )

    def test_endpoints(self) -> None:
        """Endpoints are IP addresses with a port, each once."""
        for endpoints, says in {
            '["web:80"]': 'endpoints[0]: "web" is no IP address; write IP:port such as "10.0.0.7:8080"; a DNS name '
            'belongs in "target"',
            '["10.0.0.1"]': 'endpoints[0]: "10.0.0.1" has no port; add one, as in "10.0.0.1:80"',
            '["10.0.0.1:0"]': "endpoints[0]: port 0 is not one of 1 to 65535",
            '["10.0.0.1:1", "10.0.0.1:01"]': 'endpoints[1]: "10.0.0.1:1" is given twice; services."a:80".endpoints[0] '
            "is the same",
            "[1]": "endpoints[0]: must be a string, not an integer; write it in double quotes",
            '["[::]:1"]': 'endpoints[0]: :: can be listened on, not connected to; did you mean "127.0.0.1:1"?',
        }.items():
            loaded = load(f'[services."a:80"]\nendpoints = {endpoints}', "f", {})
            errors = [str(problem) for problem in loaded.problems if problem.severity == "error"]
            self.assertEqual([f'f:2: services."a:80".{says}'], errors)
