# -*- test-case-name: tests.configfile.test_proxied -*-
"""
The PROXY protocol: what a file may say of it.
"""

from __future__ import annotations

from tests.configfile.case import FileTestCase, listener

SERVICE = '[services."web:80"]\nendpoints = ["127.0.0.1:1"]\n'


class ListenerTests(FileTestCase):
    def test_anybody(self) -> None:
        """Where others can connect, it is said whose word is taken; from this machine alone anybody's may be."""
        require = {"proxy_protocol": "require"}
        self.says(
            listener(**require, address="0.0.0.0:4140"),
            "listen[0].proxy_protocol: whoever can connect may claim to be anybody; write proxy_protocol_from = [...]",
        )
        self.good(listener(**require, address="0.0.0.0:4140", proxy_protocol_from=["10.0.0.0/8"]))
        self.good(listener(**require, address="127.0.0.1:4140"))
        self.good(listener(**require, address="[::1]:4140"))
        self.good(listener(**require, address="unix:/run/lproxy.sock", target="service:web:80") + SERVICE)

    def test_unused(self) -> None:
        """Networks beside no header are for nothing."""
        self.says(
            listener(proxy_protocol_from=["10.0.0.0/8"]),
            "listen[0].proxy_protocol_from: is unused: no header is looked for",
        )

    def test_values(self) -> None:
        """It is required or not: one that may be there or not is anybody's to claim."""
        self.says(listener(proxy_protocol="optional"), 'listen[0].proxy_protocol: must be "off" or "require"')
        self.says(
            listener(proxy_protocol="require", proxy_protocol_from=["10.0.0.1/8"]), "listen[0].proxy_protocol_from[0]: "
        )


class ServiceTests(FileTestCase):
    def test_version(self) -> None:
        """Either version, and no other."""
        for version in ("v1", "v2"):
            self.good(listener() + SERVICE + f'proxy_protocol = "{version}"')
        self.says(
            listener() + SERVICE + 'proxy_protocol = "v3"',
            'services."web:80".proxy_protocol: must be "v1" or "v2", not "v3"',
        )

    def test_http2(self) -> None:
        """One connection for all and a header for one client contradict each other."""
        told = listener() + SERVICE + 'proxy_protocol = "v2"\n'
        self.says(told + 'protocol = "http2"', 'services."web:80".protocol: "http2" has many clients')
        self.good(told + 'protocol = "http1"')

    def test_tls(self) -> None:
        """With TLS to the service it is refused, with the reason."""
        self.says(
            listener() + SERVICE + 'proxy_protocol = "v2"\ntls = true',
            'services."web:80".proxy_protocol: "v2" would go before TLS',
        )
