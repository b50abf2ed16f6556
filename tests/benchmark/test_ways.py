"""
L{benchmark.ways}: listeners with TLS and HTTP/2 are the same for every proxy.
"""

import shutil
import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmark import certificates, peers, ways
from benchmark.certificates import Files
from benchmark.peer import EVERY, OBSERVED, SERVICES, TAIL, Ports, Setting
from benchmark.peers import PEERS
from benchmark.session import ALL_PEERS
from benchmark.upstreams import Upstreams
from benchmark.ways import WAYS
from lproxy import tap
from tests.components import missing

FILES = Files(*(Path(f"/x/{name}.pem") for name in ("authority", "certificate", "key", "both")))
#: a listener of each group
GROUPS = {"tls": "https", "first": "mtls", "second": "mtls-second", "h2": "h2", "routes": "routes"}


class WayTests(SynchronousTestCase):
    def test_group(self) -> None:
        """A scenario's listener brings all of its group; a plain one brings nothing."""
        found = [ways.group(name) for name in ("https", "mtls", "grpc", "http")]
        self.assertEqual([["https"], ["hops", "mtls"], ["h2", "h2-h1", "h1-h2", "grpc"], []], found)

    def test_second(self) -> None:
        """A first hop needs the second's listeners; nothing else needs another process."""
        found = [ways.second(ways.group(name)) for name in ("mtls", "mtls-second", "https", "h2", "http")]
        self.assertEqual([["hops-second", "mtls-second"], [], [], [], []], found)

    def test_placed(self) -> None:
        """Each stands in front of its upstream, or of the second hop."""
        ports = {"h2": 1, "h2-h1": 2, "grpc": 3, "hops": 4}
        behind = {"http": 11, "h2": 12, "grpc": 13, "hops-second": 14}
        found = {one.way.name: one.upstream for one in ways.placed(ports, behind)}
        self.assertEqual({"h2": 12, "h2-h1": 11, "grpc": 13, "hops": 14}, found)


class ConfigurationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(peers, "envoy_binary", lambda: "/bin/envoy")

    def setting(self, group: str) -> Setting:
        path = Path(self.mktemp()).absolute()
        path.mkdir()
        names = ways.group(GROUPS[group])
        ports = Ports(11_001, 11_002, 11_003, 11_004, ways={name: 13_001 + at for at, name in enumerate(names)})
        upstreams = Upstreams(12_001, 12_002, 12_003, h2=12_004, grpc=12_005)
        beyond = {name: 14_001 + at for at, name in enumerate(ways.second(names))}
        return Setting(path, ports, upstreams, 500, files=certificates.make(path), second=beyond)

    def written(self, name: str, setting: Setting) -> str:
        """The command line and all files but keys."""
        command = ALL_PEERS[name].command
        assert command is not None
        words = command(setting)
        return " ".join([*words, *(p.read_text() for p in setting.directory.iterdir() if p.suffix != ".pem")])

    def test_listeners(self) -> None:
        """Whoever serves a listener has it in its file, and whoever cannot says why."""
        for name in ("lproxy", "lproxy-compiled", "nginx", "haproxy", "envoy"):
            peer = ALL_PEERS[name]
            self.assertEqual(set(EVERY), set(peer.listeners | set(peer.cannot)) - {SERVICES, TAIL} - OBSERVED, name)
            for group in GROUPS:
                setting = self.setting(group)
                text = self.written(name, setting)
                for listener, port in setting.ports.ways.items():
                    self.assertEqual(listener not in peer.cannot, str(port) in text, f"{name}: {listener}")

    def test_only_where_needed(self) -> None:
        """Without a group nothing is said of TLS, HTTP/2 or services: an older lproxy takes the file."""
        setting = self.setting("tls")
        plain = Setting(setting.directory, Ports(1, 2, 3, 4), setting.upstreams, 500)
        text = peers.lproxy_config(plain).read_text()
        for word in ("tls", "identity", "services", "http2"):
            self.assertNotIn(word, text)

    def test_equal(self) -> None:
        """All take TLS 1.3 alone where they would take less, and check the other hop's name."""
        for name, version in (("nginx", "TLSv1.3"), ("haproxy", "TLSv1.3"), ("envoy", "TLSv1_3")):
            for group in ("tls", "first", "second"):
                self.assertIn(version, self.written(name, self.setting(group)), f"{name}: {group}")
        for name in ("nginx", "haproxy", "envoy", "lproxy"):
            self.assertIn(ways.NAME, self.written(name, self.setting("first")), name)

    def test_lproxy(self) -> None:
        """Our own file is one that lproxy takes without a word of complaint."""
        for group in GROUPS:
            path = peers.lproxy_config(self.setting(group))
            self.assertEqual(0, tap.report(tap.read(str(path))), path.read_text())

    def test_nginx_and_haproxy(self) -> None:
        """Theirs are taken, too, where they are installed."""
        checks = {"nginx": ["nginx", "-t", "-e", "stderr", "-c"], "haproxy": ["haproxy", "-c", "-f"]}
        for name, check in checks.items():
            if shutil.which(name) is None or PEERS[name].missing():
                missing(f"there is no {name}")
            for group in GROUPS:
                setting = self.setting(group)
                self.written(name, setting)
                (file,) = [path for path in setting.directory.iterdir() if path.suffix in (".conf", ".cfg")]
                done = subprocess.run([*check, str(file)], capture_output=True, text=True)
                self.assertEqual(0, done.returncode, done.stderr + done.stdout)

    def test_http2(self) -> None:
        """Each side of a crossing is told what it is to speak."""
        found = ways.lproxy(ways.placed({"h2-h1": 1, "h1-h2": 2}, {"http": 11, "h2": 12}), FILES)
        self.assertLess(found.index('protocol = "http1"'), found.index('protocol = "http2"'))
        text = ways.haproxy(ways.placed({"h2-h1": 1}, {"http": 11}), FILES)
        self.assertIn("bind 127.0.0.1:1 backlog 4096 proto h2", text)
        self.assertEqual(1, text.count("proto h2"))

    def test_every_way(self) -> None:
        """Nobody has a second hop but behind a first."""
        self.assertEqual({"hops-second", "mtls-second"}, set(WAYS) - EVERY)
