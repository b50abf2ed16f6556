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
            "onion:80:key=x",
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
            ":4140": '":4140" has no IP address; write "127.0.0.1:4140", or "0.0.0.0:4140" for all',
            "*:4140": '"*:4140" has no IP address; write "127.0.0.1:4140", or "0.0.0.0:4140" for all',
            "4140": '"4140" has no IP address; write "127.0.0.1:4140", or "0.0.0.0:4140" for all',
            "off": '"off" is no address; write "" for none',
            "localhost:4140": '"localhost" is no IP address; write "127.0.0.1:4140"',
            "web:4140": '"web" is no IP address; write one of this machine\'s, such as "127.0.0.1:4140"',
            "tpc:4140": '"tpc" is no IP address; did you mean "tcp:4140"?',
            "proxy.local:80": f'"proxy.local" is no IP address; {examples}',
            "/run/x": '"/run/x" is no address with a port; did you mean "unix:/run/x"?',
            "http://127.0.0.1:80": f'"http://127.0.0.1:80" is no address with a port; {examples}',
            "ssl:443:privateKey=k": '"ssl:443:privateKey=k" is no plain stream socket: write IP:port, and',
            "haproxy:tcp:80": '"haproxy:tcp:80" is no plain stream socket: the PROXY protocol is not read',
            "stdio:": '"stdio:" is no address with a port',
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
            "http://web": '"http://web" is a URL; write "web:80"',
            "http://u:p@web:81/x": '"http://u:p@web:81/x" is a URL; write "web:81"',
            "https://web/": '"https://web/" is a URL; write "web:443", and in its [services] table tls = true',
            "unix:/run/x": '"unix:/run/x" is a UNIX socket; lproxy connects by TCP alone',
            "/run/x": '"/run/x" is a UNIX socket; lproxy connects by TCP alone',
            "localhost": '"localhost" has no port; add one, as in "localhost:80"',
            ":8080": '":8080" has no host; write "127.0.0.1:8080"',
            "services:web:1": '"services:web:1" is no target; did you mean "service:web:1"?',
            "web.local": '"web.local" has no port; add one, as in "web.local:80"',
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
        """Endpoints are IP addresses or names with a port, each once."""
        for good in ("web:80", "localhost:80", "kafka-1.local.:9092", "[::1]:80"):
            config = self.good(listener(target="service:a") + f'[services.a]\nendpoints = ["{good}"]')
            self.assertEqual((good,), config.services["a"].endpoints)
        for endpoints, says in {
            '["web:0"]': "endpoints[0]: port 0 is not one of 1 to 65535",
            '["we b:80"]': 'endpoints[0]: "we b" is no IP address; write IP:port such as "10.0.0.7:8080"',
            '["10.0.0.256:80"]': 'endpoints[0]: "10.0.0.256" is no IP address; write IP:port such as "10.0.0.7:8080"',
            '["unix:/x"]': 'endpoints[0]: "unix:/x" is a UNIX socket; lproxy connects by TCP alone: let the '
            'application listen on an IP and port, such as "127.0.0.1:8081"',
            '["10.0.0.1"]': 'endpoints[0]: "10.0.0.1" has no port; add one, as in "10.0.0.1:8080"',
            '["10.0.0.1:0"]': "endpoints[0]: port 0 is not one of 1 to 65535",
            '["10.0.0.1:1", "10.0.0.1:01"]': 'endpoints[1]: "10.0.0.1:1" is given twice; services."a:80".endpoints[0] '
            "is the same",
            "[1]": "endpoints[0]: must be a string or a table, not an integer; write an address such as "
            '"127.0.0.1:8081", or { address = "127.0.0.1:8081", weight = 3 }',
            '["[::]:1"]': 'endpoints[0]: :: can be listened on, not connected to; did you mean "127.0.0.1:1"?',
        }.items():
            loaded = load(f'[services."a:80"]\nendpoints = {endpoints}', "f", {})
            errors = [str(problem) for problem in loaded.problems if problem.severity == "error"]
            self.assertEqual([f'f:2: services."a:80".{says}'], errors)

    def test_resolvers(self) -> None:
        """A DNS server has port 53 in what is suggested, and no name."""
        for server, says in {
            "8.8.8.8": '"8.8.8.8" has no port; add one, as in "8.8.8.8:53"',
            "2001:db8::1": '"2001:db8::1" has no port; add one, as in "[2001:db8::1]:53"',
            "dns.local:53": '"dns.local" is a name, no IP address; the name of a resolver would need a resolver: write '
            "its IP address",
            "dns": '"dns" is no address with a port; write IP:port such as "10.0.0.7:53"',
        }.items():
            self.problems(f'[dns]\nservers = ["{server}"]', f"f:2: dns.servers[0]: {says}")
