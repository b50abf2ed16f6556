# -*- test-case-name: tests.integration.kafka.test_tls -*-
"""
Kafka over TLS through a gateway: clients to it, it to brokers, both, and logins inside of it.
"""

from __future__ import annotations

import json
import re
import socket
import struct
from typing import Any

from tests.integration.kafka.case import ADMIN, Gateway, Proxied
from tests.integration.test_twistd import Proxy, eventually

#: ApiVersions v0
ASK_VERSIONS = struct.pack(">ihhih4s", 14, 18, 0, 1, 4, b"test")

#: what each client calls what it is told; aiokafka takes no file
LIBRDKAFKA = {"security.protocol": "SSL", "ssl.ca.location": "{trust}", "broker.address.family": "v4"}
SETTINGS = {
    "kafka_python": {"security_protocol": "SSL", "ssl_cafile": "{trust}"},
    "confluent": LIBRDKAFKA,
    "kcat": LIBRDKAFKA,
}


class TlsTests(Proxied):
    """
    @cvar front: whether clients come over TLS
    @cvar login: the mechanism, where one is wanted
    """

    front = True
    login = ""

    def options(self, client: str) -> list[str]:
        """What C{client} is told of TLS, if it comes over it."""
        if not self.front:
            return []
        given: list[str] = []
        for key, value in SETTINGS[client].items():
            # over TLS in either case
            value = "SASL_SSL" if value == "SSL" and self.login else value.format(trust=self.cluster.trust)
            given += ["--set", f"{key}={value}"]
        return given

    def test_clients(self) -> None:
        """Every client produces and consumes; it is told our addresses alone, by the name that it has asked for."""
        told: dict[str, Any] = {}
        for client in SETTINGS:
            told[client] = self.run_client(client, "short", *self.options(client), sasl=self.login)
        self.assertEqual(dict.fromkeys(SETTINGS, {"read": {}, "addresses": self.told}), told)
        self.all_through()
        peers = self.samples("tcp_open_total", "peer", "tls")
        self.assertEqual({("src", str(self.front).lower()), ("dst", str("SSL" in self.listener).lower())}, set(peers))
        if self.login:
            self.assertEqual({(self.login, "ok")}, set(self.samples("kafka_sasl_total", "mechanism", "result")))
        self.well_ended()


class _Gateway(Gateway):
    """A gateway whose listener, or whose service, is secured."""

    front = True

    def config(self) -> str:
        text = super().config()
        trust, certificate, key = self.cluster.trust, self.cluster.certificate, self.cluster.key
        if self.front:
            secured = f'tls = "terminate"\ncertificates = [{json.dumps(certificate)}]\n'
            text = text.replace('protocol = "kafka"\n', 'protocol = "kafka"\n' + secured)
            # names are verified, and told again
            self.bootstrap = self.bootstrap.replace("127.0.0.1", "localhost")
            self.told = [address.replace("127.0.0.1", "localhost") for address in self.told]
        if "SSL" in self.listener:
            text += f'tls = true\nca = "{trust}"\n'
        if self.listener == "SSL_GATEWAY":
            text += f'certificate = "{certificate}"\nkey = "{key}"\n'
        return text


class FrontTests(_Gateway, TlsTests):
    """Clients over TLS, brokers in plaintext."""

    def test_plain_client(self) -> None:
        """Whoever comes without TLS where it is wanted is closed, on every port, and no broker hears of it."""
        before = self.cluster.accepted(self.listener)
        # where a login is wanted, the ports of brokers are opened as clients ask
        for address in [self.bootstrap, *([] if self.login else self.told)]:
            with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), 10) as client:
                client.sendall(ASK_VERSIONS)
                try:
                    self.assertEqual(b"", client.recv(100))
                except ConnectionResetError:
                    pass  # as good
        # the gateway's own questions aside
        self.assertLessEqual(self.cluster.accepted(self.listener), before + 1)
        self.assertRegex(self.proxy.out, r"listener kafka: .* 127\.0\.0\.1 .*TLS")


class BackTests(_Gateway, TlsTests):
    """Clients in plaintext, brokers over TLS that want a certificate."""

    front = False
    listener = "SSL_GATEWAY"


class BothTests(FrontTests):
    """TLS on both sides."""

    listener = "SSL_GATEWAY"


class LoginTests(FrontTests):
    """And a login inside of it."""

    sasl = True
    login = "PLAIN"
    listener = "SASL_SSL_GATEWAY"


class DistrustTests(_Gateway):
    """Brokers that are not who they should be."""

    front = False
    listener = "SASL_SSL_GATEWAY"

    def way(self) -> None:
        """They are asked for another name."""
        text = ADMIN + self.config() + 'server_name = "kafka.shop.test"\n'
        self.proxy = Proxy(self, self.home, text, wait=False)

    def test_distrusted(self) -> None:
        """They are never asked anything; not being ready says which name was wanted and which the certificate has."""
        found = eventually(lambda: re.search(r"admin server on \S+:(\d+)/", self.proxy.out), "an admin server")
        self.proxy.admin = int(found[1])
        before = {node: broker.answered(self.listener) for node, broker in self.cluster.brokers.items()}
        eventually(lambda: "kafka.shop.test" in self.proxy.get("/ready")[1], "the reason")
        status, why = self.proxy.get("/ready")
        self.assertEqual(503, status)
        self.assertIn("localhost", why)
        after = {node: broker.answered(self.listener) for node, broker in self.cluster.brokers.items()}
        self.assertEqual(before, after)
        self.well_ended()


del TlsTests
