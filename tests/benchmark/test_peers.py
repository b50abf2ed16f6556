"""
L{benchmark.peers}: every proxy's configuration has every listener, and what stands behind it.
"""

import tomllib
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmark import peers
from benchmark.peers import ENVOY, GATEWAY, LPROXY, PEERS, Peer, Ports, Setting
from benchmark.session import ALL_PEERS
from benchmark.upstreams import Upstreams
from lproxy import tap


class ConfigurationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(peers, "nginx_stream_module", lambda: "")
        self.patch(peers, "envoy_binary", lambda: "/bin/envoy")

    def setting(self, kafka: bool) -> Setting:
        path = Path(self.mktemp())
        path.mkdir()
        ports = Ports(11001, 11002, 11003, 11004, 11005 if kafka else None)
        return Setting(path, ports, Upstreams(12001, 12002, 12003), 500, 12005 if kafka else None)

    def written(self, peer: Peer, kafka: bool) -> str:
        """The command line and all files."""
        setting = self.setting(kafka)
        assert peer.command is not None
        command = peer.command(setting)
        return " ".join([*command, *(path.read_text() for path in setting.directory.iterdir())])

    def test_listeners(self) -> None:
        """Each listens on all ports and knows all upstreams; Kafka's are there when and only when there is a broker."""
        for name, peer in ALL_PEERS.items():
            if peer.command is None:
                continue
            for kafka in (False, True) if name != GATEWAY else (True,):
                text = self.written(peer, kafka)
                for port in (11001, 11002, 11003, 12001, 12002, 12003):
                    self.assertIn(str(port), text, name)
                for port in (11005, 12005):
                    self.assertEqual(kafka, str(port) in text, f"{name}: {port}")

    def test_lproxy(self) -> None:
        """Our own is one that lproxy takes without a word of complaint; a gateway's says so."""
        for name in (LPROXY, GATEWAY):
            setting = self.setting(True)
            assert PEERS[name].command is not None
            PEERS[name].command(setting)
            found = tomllib.loads((setting.directory / "lproxy.toml").read_text())
            self.assertEqual(["http", "tcp", "echo", "kafka"], [listen["name"] for listen in found["listen"]])
            self.assertEqual(name == GATEWAY, found.get("kafka", {}).get("mode") == "gateway")
            self.assertEqual(0, tap.report(tap.read(str(setting.directory / "lproxy.toml"))))

    def test_envoy(self) -> None:
        """Without hot restart and on one core."""
        text = self.written(PEERS[ENVOY], False)
        self.assertIn("--concurrency 1", text)


class CustomTests(SynchronousTestCase):
    def test_ports(self) -> None:
        """A command of one's own gets the ports that it names, and serves no other listeners."""
        peer = peers.custom("mine", "x --listen {http} --to {up_http}")
        path = Path(self.mktemp())
        path.mkdir()
        assert peer.command is not None
        command = peer.command(Setting(path, Ports(1, 2, 3, 4), Upstreams(5, 6, 7), 10))
        self.assertEqual(["x", "--listen", "1", "--to", "5"], command)
        self.assertEqual((frozenset({"http"}), False), (peer.listeners, peer.ours))

    def test_config(self) -> None:
        """One that is given lproxy's file is lproxy, and what its log shows is held against it."""
        self.assertTrue(peers.custom("old", "x {config}").ours)


class VersionTests(SynchronousTestCase):
    def test_first_line(self) -> None:
        """A program that is not there, or says nothing, has no version; that is no reason to fail."""
        self.assertEqual(("?", "?"), (peers.first_line("/nowhere/x"), peers.first_line("true")))
