# -*- test-case-name: tests.integration.kafka.test_sasl -*-
"""
Logins: brokers that want one get it through the proxy, in whatever words clients and brokers have for it.
"""

from __future__ import annotations

import socket
import struct
from typing import Any

from tests.integration.kafka.broker import PASSWORD, USER
from tests.integration.kafka.case import CLIENTS, Gateway, Observed, Proxied

#: kcat's librdkafka is of a time before Kafka 4, with which it has no SCRAM in common
SCRAM_CLIENTS = ("kafka_python", "confluent", "aiokafka")


class SaslTests(Proxied):
    """Brokers with passwords."""

    sasl = True

    def logged_in(self, mechanism: str, clients: tuple[str, ...]) -> None:
        """All of C{clients} can do that, and then what they want."""
        for client, told in self.run_all("short", clients=clients, sasl=mechanism).items():
            self.assertEqual({"read": {}, "addresses": self.told}, told, client)
        self.all_through()
        logins = self.samples("kafka_sasl_total", "mechanism", "result")
        self.assertEqual({(mechanism, "ok")}, set(logins))
        # some connections are given up before
        self.assertLessEqual(len(clients) * 3, logins[mechanism, "ok"])
        self.assertLessEqual(logins[mechanism, "ok"], self.samples("tcp_open_total", "peer")[("dst",)])
        self.well_ended()

    def test_plain(self) -> None:
        """SASL/PLAIN."""
        self.logged_in("PLAIN", CLIENTS)

    def test_scram(self) -> None:
        """SASL/SCRAM-SHA-256, which takes two rounds."""
        self.logged_in("SCRAM-SHA-256", SCRAM_CLIENTS)

    def raw(self, *frames: bytes) -> list[bytes]:
        """What a broker answers to each of C{frames}."""
        host, port = self.bootstrap.split(",")[0].split(":")
        answers = []
        with socket.create_connection((host, int(port)), 10) as connection, connection.makefile("rb") as incoming:
            for frame in frames:
                connection.sendall(struct.pack(">i", len(frame)) + frame)
                size = incoming.read(4)
                answers.append(incoming.read(struct.unpack(">i", size)[0]) if size else b"closed")
        return answers

    def test_old(self) -> None:
        """SaslHandshake v0, whose raw tokens are not requests; then requests as ever."""
        handshake = struct.pack(">hhih3sh5s", 17, 0, 7, 3, b"old", 5, b"PLAIN")
        metadata = struct.pack(">hhih3si", 3, 1, 8, 3, b"old", 0)
        for password, result in ((PASSWORD, "ok"), ("wrong", "failed")):
            token = f"\0{USER}\0{password}".encode()
            begun, answer, *rest = self.raw(handshake, token, metadata)
            self.assertEqual(struct.pack(">ih", 7, 0), begun[:6])
            if result == "ok":
                self.assertEqual(b"", answer)
                self.assertEqual(struct.pack(">ii", 8, 3), rest[0][:8], "three brokers")
                for node in self.told:
                    self.assertIn(struct.pack(">i", int(node.split(":")[1])), rest[0])
            else:
                self.assertEqual(b"closed", answer)
        self.assertEqual({("PLAIN", "ok"): 1, ("PLAIN", "failed"): 1}, self._logins())
        self.well_ended()

    def test_wrong(self) -> None:
        """A wrong password is the broker's to refuse: the client hears it in the broker's words."""
        process = self.begin("kcat", "where", "none", "--set", "sasl.password=wrong", sasl="PLAIN")
        process.communicate(timeout=60)
        self.assertEqual(1, process.returncode)
        self.assertIn("Authentication failed: Invalid username or password", self.err(process))
        self.assertEqual({("PLAIN", "failed")}, set(self._logins()))
        self.well_ended()

    def _logins(self) -> dict[tuple[str, ...], Any]:
        return dict(self.samples("kafka_sasl_total", "mechanism", "result"))


class ObservedSaslTests(Observed, SaslTests):
    """Observed."""

    listener = "SASL_OBSERVE"


class GatewaySaslTests(Gateway, SaslTests):
    """Through a gateway."""

    listener = "SASL_GATEWAY"


del SaslTests
