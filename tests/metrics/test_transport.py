# -*- test-case-name: tests.metrics.test_transport -*-
"""
L{lproxy.metrics.transport}: the families of connections.
"""

from __future__ import annotations

import re
from collections import Counter

from lproxy.metrics.caps import OTHER
from lproxy.metrics.transport import DST_CAP, IDENTITY_CAP, REMEMBERED, TRANSPORT_CAP
from lproxy.transport.stream import Secured
from tests.metrics.case import Connection, MetricsCase

#: of every transport family, outbound; inbound ones have src_addr as well
TRANSPORT = {"direction", "peer", "dst_addr", "tls", "no_tls_reason", "protocol"}


class LabelTests(MetricsCase):
    """What a connection is counted under."""

    def test_labels(self) -> None:
        """
        Without TLS all connections say so, and why, and have no identities; src_addr is for inbound ones alone.
        """
        for direction in ("inbound", "outbound"):
            self.visit(direction=direction)
        samples = [sample for sample in self.samples() if sample.name.startswith("tcp_")]
        families = {re.sub("_(bucket|sum|count)$", "", sample.name) for sample in samples}
        self.assertEqual(6, len(families))
        for sample in samples:
            labels = dict(sample.labels)
            extra = {"le"} if sample.name.endswith("_bucket") else {"errno"} if "close" in sample.name else set()
            inbound = labels["direction"] == "inbound"
            self.assertEqual(TRANSPORT | extra | ({"src_addr"} if inbound else set()), set(labels), sample.name)
            self.assertEqual(("false", "disabled"), (labels["tls"], labels["no_tls_reason"]))
            self.assertEqual("src" if inbound else "dst", labels["peer"])
            self.assertEqual("10.0.3.7:8080", labels["dst_addr"])
            self.assertEqual("10.0.3.9" if inbound else None, labels.get("src_addr"))

    def test_series_of_the_seed(self) -> None:
        """A whole line, as its ancestor wrote it, but for TLS."""
        self.visit()
        self.assertIn(
            'tcp_open_total{direction="inbound",peer="src",src_addr="10.0.3.9",dst_addr="10.0.3.7:8080",tls="false",'
            'no_tls_reason="disabled",protocol="http"} 1\n',
            self.text(),
        )

    def test_identities(self) -> None:
        """With TLS both identities are there, empty where nobody has shown one, and no reason why there is none."""
        where = ("inbound", "src", "10.0.3.9", "10.0.3.7:8080", "http")
        for tls in (Secured(local_identity="cart.shop.mesh", remote_identity="web.shop.mesh"), Secured()):
            for sni in ("a", "b"):
                # what else is known of a connection makes no series
                self.metrics.transport(*where, tls._replace(sni=sni)).opened += 1
        text = self.text()
        self.assertIn(
            'tcp_open_total{direction="inbound",peer="src",src_addr="10.0.3.9",dst_addr="10.0.3.7:8080",tls="true",'
            'remote_identity="web.shop.mesh",local_identity="cart.shop.mesh",protocol="http"} 2\n',
            text,
        )
        self.assertIn('tls="true",remote_identity="",local_identity="",protocol="http"} 2\n', text)
        self.assertNotIn("no_tls_reason", text)

    def test_reasons(self) -> None:
        """Each reason why there is no TLS is counted by itself."""
        for reason in ("loopback", "opaque"):
            self.metrics.transport("outbound", "dst", "", "10.0.0.1:1", "tcp", None, reason).opened += 1
            self.assertEqual([1], self.values("tcp_open_total", tls="false", no_tls_reason=reason))

    def test_edges(self) -> None:
        """Linkerd's edges: who talks to whom over TLS is a sum by identities, by way of any parser."""
        for remote, local, n in (("web", "cart", 2), ("web", "db", 3), ("cart", "db", 1)):
            for port in (1, 2):
                tls = Secured(remote_identity=remote, local_identity=local)
                self.metrics.transport("inbound", "src", "10.0.0.9", f"10.0.0.1:{port}", "tcp", tls).opened += n
        self.visit()
        edges: Counter[tuple[str, str]] = Counter()
        for sample in self.samples("tcp_open_total"):
            if sample.labels["tls"] == "true" and sample.labels["peer"] == "src":
                edges[sample.labels["remote_identity"], sample.labels["local_identity"]] += int(sample.value)
        self.assertEqual({("web", "cart"): 4, ("web", "db"): 6, ("cart", "db"): 2}, edges)

    def test_src_addr_off(self) -> None:
        """The configuration can leave the client's address out."""
        self.metrics = self.make(src_addr=False)
        for n in range(10):
            self.visit(src=f"10.0.0.{n}")
        self.assertNotIn("src_addr", self.text())
        self.assertEqual([10], self.values("tcp_open_total"))

    def test_values(self) -> None:
        """What was counted is what is shown."""
        connection = Connection(100, 200, "ECONNRESET")
        counter = self.connect()
        counter.open(connection, 0.0)
        counter.close(connection, 2.0)
        for name, labels, expected in (
            ("tcp_open_total", {}, [1]),
            ("tcp_open_connections", {}, [0]),
            ("tcp_read_bytes_total", {}, [100]),
            ("tcp_write_bytes_total", {}, [200]),
            ("tcp_close_total", {"errno": "ECONNRESET"}, [1]),
            ("tcp_connection_duration_seconds_sum", {}, [2]),
            ("tcp_connection_duration_seconds_count", {}, [1]),
        ):
            self.assertEqual(expected, self.values(name, **labels), name)

    def test_live(self) -> None:
        """A connection that is open counts as such, with the bytes that it has moved."""
        connection = Connection(5, 6)
        self.connect().open(connection, 0.0)
        self.assertEqual([1], self.values("tcp_open_connections"))
        connection.bytes_in = 50
        self.assertEqual([50], self.values("tcp_read_bytes_total"))
        self.assertEqual([6], self.values("tcp_write_bytes_total"))


class BoundTests(MetricsCase):
    """No label is without a bound, and no memory."""

    def test_ten_thousand_hosts(self) -> None:
        """10,000 hosts x 100 addresses leave bounded series, label values and scrapes, and no count is lost."""
        for host in range(10_000):
            for step in range(2):
                address = f"10.9.{host % 100}.{(host // 100 + step) % 100}"
                self.visit(src=address, dst=f"10.1.{host // 256}.{host % 256}:80")
                self.visit(src=address, dst=f"10.1.{host // 256}.{host % 256}:80", direction="outbound")
        opened = self.samples("tcp_open_total")
        for direction in ("inbound", "outbound"):
            counted = sum(s.value for s in opened if s.labels["direction"] == direction)
            self.assertEqual(20_000, counted)
        # a fixed set of labels, and other, on each side
        self.assertLessEqual(len(opened), TRANSPORT_CAP + 2 * (DST_CAP + 1))
        sources = {s.labels["src_addr"] for s in opened if "src_addr" in s.labels}
        self.assertLessEqual(len(sources), 1_000 + 1)
        self.assertIn(OTHER, sources)
        destinations = {s.labels["dst_addr"] for s in opened}
        self.assertEqual(DST_CAP + 1, len(destinations))
        self.assertIn(OTHER, destinations)
        self.assertLess(len(self.text()), 20_000_000)

    def test_many_protocols(self) -> None:
        """Destinations, protocols, directions and sides do not multiply without end, and no connection is lost."""
        for protocol in ("http", "tcp", "kafka", "memo"):
            for n in range(1_500):
                for direction in ("inbound", "outbound"):
                    for peer in ("src", "dst"):
                        counter = self.metrics.transport(
                            direction, peer, f"10.0.{n // 256}.{n % 256}", f"10.1.{n // 256}.{n % 256}:80", protocol
                        )
                        counter.opened += 1
        opened = self.samples("tcp_open_total")
        self.assertEqual(4 * 1_500 * 4, sum(s.value for s in opened))
        # one series of others for each protocol, direction and side
        self.assertLessEqual(len(opened), 2 * TRANSPORT_CAP + 4 * 4)

    def test_many_identities(self) -> None:
        """Peers cannot make series by having many names, and no connection is lost."""
        for n in range(6_000):
            tls = Secured(remote_identity=f"web-{n}.mesh", local_identity=f"cart-{n}.mesh")
            self.metrics.transport("inbound", "src", "10.0.0.9", f"10.0.0.1:{n % 50}", "tcp", tls).opened += 1
        opened = self.samples("tcp_open_total")
        self.assertEqual(6_000, sum(s.value for s in opened))
        self.assertLessEqual(len(opened), 2 * TRANSPORT_CAP + 2)
        self.assertEqual(IDENTITY_CAP + 1, len({s.labels["remote_identity"] for s in opened}))

    def test_bounded_for_good(self) -> None:
        """New addresses after that make no new series."""
        for n in range(5_000):
            self.visit(src=f"10.0.{n // 256}.{n % 256}", dst=f"10.1.{n // 256}.{n % 256}:80")
        before = len(self.text().splitlines())
        for n in range(5_000):
            self.visit(src=f"10.2.{n // 256}.{n % 256}", dst=f"10.3.{n // 256}.{n % 256}:80")
        self.assertEqual(before, len(self.text().splitlines()))

    def test_setting(self) -> None:
        """The cap of the configuration is kept to."""
        self.metrics = self.make(src_addr_cap=2)
        for n in range(10):
            self.visit(src=f"10.0.0.{n}")
        self.assertEqual([1, 1, 8], self.values("tcp_open_total"))
        self.assertEqual([8], self.values("tcp_open_total", src_addr=OTHER))

    def test_freed_destinations(self) -> None:
        """So do destinations."""
        for n in range(DST_CAP + 1):
            self.visit(dst=f"10.0.{n // 256}.{n % 256}:80", direction="outbound")
        self.assertEqual([1], self.values("tcp_open_total", dst_addr=OTHER))
        self.clock.advance(600)
        self.text()
        self.visit(dst="10.9.9.9:80", direction="outbound")
        self.assertEqual([1], self.values("tcp_open_total", dst_addr="10.9.9.9:80"))

    def test_remembered(self) -> None:
        """However many addresses come by, the same ones are counted in the same place."""
        counter = self.connect()
        for n in range(REMEMBERED + 10):
            self.connect(src=f"10.0.{n // 256}.{n % 256}")
        self.assertIs(counter, self.connect())

    def test_forgotten(self) -> None:
        """A series that is gone is not counted into behind the scrape's back."""
        self.visit()
        self.text()
        self.clock.advance(600)
        self.assertEqual([], self.values("tcp_open_total"))
        self.visit()
        self.assertEqual([1], self.values("tcp_open_total"))

    def test_cost_with_many_open(self) -> None:
        """What a new connection costs does not depend on how many are open: nobody adds up their bytes for it."""
        counter = self.connect()
        asked: list[int] = []

        class Asked(Connection):
            @property
            def bytes_in(self) -> int:
                asked.append(1)
                return 0

            @bytes_in.setter
            def bytes_in(self, value: int) -> None:
                pass

        for _ in range(10):
            counter.open(Asked(), 0.0)
        self.assertIs(counter, self.connect())
        self.assertEqual([], asked)


class IdleTests(MetricsCase):
    """A connection that is open holds its series."""

    def test_live_is_held(self) -> None:
        """One that is open and silent for hours keeps its series, and all that was counted in it."""
        self.visit()
        counter, connection = self.connect(), Connection(1, 2)
        counter.open(connection, 0.0)
        for _ in range(100):
            self.clock.advance(600)
            self.assertEqual([2], self.values("tcp_open_total"))
        connection.bytes_in = 7
        self.assertEqual([3 + 7], self.values("tcp_read_bytes_total"))
        counter.close(connection, 60_000.0)
        self.assertEqual([2], self.values("tcp_open_total"))
        self.clock.advance(600)
        self.assertEqual([], self.values("tcp_open_total"))

    def test_setting(self) -> None:
        """10 minutes are a setting."""
        self.metrics = self.make(idle=5.0)
        self.visit()
        self.assertEqual([1], self.values("tcp_open_total"))
        self.clock.advance(5)
        self.assertEqual([], self.values("tcp_open_total"))
