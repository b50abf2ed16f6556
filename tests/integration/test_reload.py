# -*- test-case-name: tests.integration.test_reload -*-
"""
A running proxy whose configuration is changed while it is in use.
"""

from __future__ import annotations

import http.client
import signal
import socket
import threading
import time
from typing import Any

from tests.integration.test_twistd import PATIENCE, ProcessTestCase, Proxy, eventually, request

APPLIED = 'config_reload_total{outcome="applied"}'
INVALID = 'config_reload_total{outcome="invalid"}'


class Counting(threading.Thread):
    """
    A client that asks all the time, on one connection for as long as that is kept, and counts.

    @ivar answered: how many requests were answered with 200
    @ivar failures: what became of others
    """

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._over = threading.Event()
        self.answered = 0
        self.failures: list[str] = []
        self.start()

    def run(self) -> None:
        client: http.client.HTTPConnection | None = None
        while not self._over.is_set():
            if client is None:
                client = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
            try:
                client.request("GET", "/", headers={"Host": "web.local"})
                answer = client.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as e:
                self.failures.append(repr(e))
                answer = None
            if answer is not None and answer.status == 200:
                self.answered += 1
            elif answer is not None:
                self.failures.append(str(answer.status))
            if answer is None or answer.will_close:
                client.close()
                client = None
        if client is not None:
            client.close()

    def stop(self) -> None:
        """Ask no more."""
        self._over.set()
        self.join(PATIENCE)


class ReloadTests(ProcessTestCase):
    """SIGHUP and POST /reload."""

    def start(self) -> Proxy:
        return Proxy(self, self.home, self.config())

    def write(self, text: str) -> None:
        (self.home / "lproxy.toml").write_text(text)

    def reload(self, proxy: Proxy, sample: str) -> None:
        """Have it read the file, and wait until C{sample} has counted that."""
        before = proxy.metric(sample)
        proxy.signal(signal.SIGHUP)
        eventually(lambda: proxy.metric(sample) == before + 1, sample)

    def test_under_load(self) -> None:
        """A client that asks all the time loses nothing, however often the configuration changes under it."""
        proxy = self.start()
        clients = [Counting(proxy.ports["web"]) for _ in range(4)]
        for n in range(20):
            self.write(self.config(f"[limits]\nin_flight = {100 + n}\n"))
            self.reload(proxy, APPLIED)
            self.assertEqual(100 + n, proxy.json("/config")["limits"]["in_flight"])
        time.sleep(0.1)
        for client in clients:
            client.stop()
        self.assertEqual([[]] * 4, [client.failures for client in clients])
        self.assertNotIn(0, [client.answered for client in clients])
        eventually(lambda: not proxy.json("/connections"), "the last connection's end")
        self.no_traceback(proxy.out, proxy.err)

    def test_tunnel(self) -> None:
        """Bytes that flow go on by what they began with, however many configurations come after it."""
        proxy = self.start()
        with socket.create_connection(("127.0.0.1", proxy.ports["echo"]), PATIENCE) as client:
            for n in range(3):
                client.sendall(b"\x00 %d" % n)
                self.assertEqual(b"\x00 %d" % n, client.recv(100))
                self.write(self.config(f"[limits]\nin_flight = {n + 1}\n[timeouts]\ndrain = '10ms'\n"))
                self.reload(proxy, APPLIED)
            time.sleep(0.05)
            client.sendall(b"\x00 after")
            self.assertEqual(b"\x00 after", client.recv(100))

    def test_warm(self) -> None:
        """Connections to upstreams are used by whatever configuration comes next that says the same of them."""
        proxy = self.start()
        self.carries(proxy)
        opened = f'endpoint_connect_total{{service="web.local:80",endpoint="127.0.0.1:{self.web}",outcome="ok"}}'
        self.assertEqual(1.0, proxy.metric(opened))
        for n in range(3):
            more = f'[services."x{n}:80"]\nendpoints = ["127.0.0.1:9"]\n'
            self.write(self.config(f"[limits]\nin_flight = {n + 1}\n{more}"))
            self.reload(proxy, APPLIED)
            self.carries(proxy)
        self.assertEqual(1.0, proxy.metric(opened))
        self.assertEqual(1, len([row for row in proxy.json("/services") if row["target"] == "web.local:80"]))

    def test_watched(self) -> None:
        """C{watch = true}: the file is another, by a link as in a volume of Kubernetes, and nobody has to say so."""
        for name, more in (("1", ""), ("2", "[limits]\nin_flight = 7\n")):
            (self.home / name).mkdir()
            (self.home / name / "lproxy.toml").write_text("watch = true\n" + self.config(more))
        (self.home / "..data").symlink_to("1")
        (self.home / "lproxy.toml").symlink_to("..data/lproxy.toml")
        proxy = Proxy(self, self.home, "watch = true\n" + self.config())
        (self.home / "..new").symlink_to("2")
        (self.home / "..new").rename(self.home / "..data")
        eventually(lambda: proxy.json("/config")["limits"]["in_flight"] == 7, "the new file")
        self.carries(proxy)

    def test_invalid(self) -> None:
        """A file with a mistake changes nothing; the log says what is wrong and where, and it is counted."""
        proxy = self.start()
        live = proxy.json("/config")
        self.write(self.config("[limits]\nin_fligth = 1\n"))
        self.reload(proxy, INVALID)
        self.assertEqual(live, proxy.json("/config"))
        self.assertEqual(0.0, proxy.metric("config_last_reload_success"))
        self.assertRegex(proxy.out, r"reload: .*in_fligth.*did you mean")
        self.carries(proxy)
        self.write(self.config())
        self.reload(proxy, 'config_reload_total{outcome="unchanged"}')
        self.assertEqual(1.0, proxy.metric("config_last_reload_success"))

    def test_command(self) -> None:
        """Whoever asks by POST is told what came of it, where the configuration allows that."""
        text = self.config().replace("[admin]\n", "[admin]\nreload = true\n")
        proxy = Proxy(self, self.home, text)
        status, said = proxy.get("/reload", "POST")
        self.assertEqual((200, True), (status, "live already" in said), said)
        self.write(text + "[nonsense]\n")
        status, said = proxy.get("/reload", "POST")
        self.assertEqual((409, True), (status, "nonsense" in said), said)
        self.write(text + "[timeouts]\nacquire = '1s'\n")
        before = self.hash(proxy)
        self.assertEqual(200, proxy.get("/reload", "POST")[0])
        self.assertNotEqual(before, self.hash(proxy))

    def hash(self, proxy: Proxy) -> Any:
        return proxy.json("/config")["live"]["hash"]

    def test_listeners(self) -> None:
        """One that is new opens, one that is gone closes."""
        proxy = self.start()
        more = (
            f'[[listen]]\nname = "more"\naddress = "127.0.0.1:0"\ntarget = "127.0.0.1:{self.web}"\nprotocol = "http"\n'
        )
        self.write(self.config(more))
        self.reload(proxy, APPLIED)
        proxy.up()
        port = proxy.ports["more"]
        self.assertEqual(200, request(port, "/", "any")[0])
        self.write(self.config())
        self.reload(proxy, APPLIED)
        self.assertEqual(0, request(port, "/", "any")[0])
        self.carries(proxy)


class NotifyTests(ProcessTestCase):
    """Whoever started it is told how it goes, as by a unit of C{Type=notify}."""

    def test_told(self) -> None:
        """Ready when it serves, signs of life, a reload's beginning and end, and that it stops."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            told.bind(str(self.home / "notify"))
            told.settimeout(PATIENCE)

            def wait(word: str) -> None:
                while word not in told.recv(1000).decode().split("\n"):
                    pass

            environ = {"NOTIFY_SOCKET": str(self.home / "notify"), "WATCHDOG_USEC": "200000"}
            proxy = Proxy(self, self.home, self.config(), **environ)
            wait("READY=1")
            self.carries(proxy)
            wait("WATCHDOG=1")
            proxy.signal(signal.SIGHUP)
            for word in ("RELOADING=1", "READY=1"):
                wait(word)
            proxy.signal(signal.SIGTERM)
            wait("STOPPING=1")
            self.assertEqual(0, proxy.status())
