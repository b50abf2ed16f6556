# -*- test-case-name: tests.benchmark.endurance.test_proxy -*-
"""
The lproxy that has to endure: its files, its processes, and what is done to it.

All that it writes is on a small disk of its own (a tmpfs in a mount namespace), which can be filled; where there is no
leave for that, its access log alone is on one that is full, C{/dev/full}, when it is to be.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from benchmark.certificates import Files
from benchmark.endurance import census
from benchmark.endurance.tally import Kill
from benchmark.process import HOST, PROJECT, ProcessFailed

#: seconds for what is under way to end, where another process has taken over, and for any step of ours
DRAIN, PATIENCE = 6.0, 180.0
#: bytes of the small disk: an access log of a minute or two
DISK = 64 << 20
#: bytes of which it is filled at once, until there is room for none
FILLER = 1 << 16
#: in a mount namespace of its own: directory, size, and the command
MOUNT = 'mount -t tmpfs -o size="$2",mode=0777 endurance "$1" && shift 2 && exec "$@"'

CONFIG = """\
workers = {workers}
watch = true
[admin]
address = "{host}:{admin}"
reload = true
[timeouts]
drain = "{drain:g}s"
upstream_idle = "1s"
[limits]
in_flight = {limit}
[access_log]
path = "{log}"
[[listen]]
name = "web"
address = "{host}:{web}"
protocol = "http"
target = "service:web"
[[listen]]
name = "tls"
address = "{host}:{tls}"
protocol = "http"
target = "service:web"
tls = "terminate"
certificates = ["{certificate}"]
[[listen]]
name = "grpc"
address = "{host}:{grpc}"
protocol = "http"
target = "service:grpc"
[[listen]]
name = "tcp"
address = "{host}:{tcp}"
protocol = "tcp"
target = "service:tcp"
[[listen]]
name = "kafka"
address = "{host}:{kafka}"
protocol = "kafka"
target = "service:kafka"
[listen.kafka]
mode = "gateway"
base_port = {base}
[services.web]
endpoints = ["{host}:{web_behind}"]
protocol = "http1"
[services.grpc]
endpoints = ["{host}:{grpc_behind}"]
protocol = "http2"
[services.tcp]
endpoints = ["{host}:{tcp_behind}"]
[services.kafka]
endpoints = ["{host}:{kafka_behind}"]
"""
SPARE = """\
[[listen]]
name = "spare"
address = "{host}:{spare}"
protocol = "tcp"
target = "service:spare-{n}"
[services.spare-{n}]
endpoints = ["{host}:{tcp_behind}"]
"""


class Proxy:
    """
    One, whatever process that is at the moment.

    @ivar ports: by listener, with C{admin}, C{spare} and C{base}
    @ivar kills: what was killed so far
    """

    def __init__(
        self,
        folder: Path,
        workers: int,
        ports: Mapping[str, int],
        behind: Sequence[Mapping[str, int]],
        files: Sequence[Files],
    ) -> None:
        """
        @param behind: ports of what stands behind it, of which a configuration has one set; likewise C{files}
        """
        self.workers, self.ports, self.kills = workers, ports, list[Kill]()
        self._behind, self._files = behind, files
        self._folder = folder
        self._file = folder / "lproxy.toml"
        self.disk = folder / "disk"
        self.token = secrets.token_hex(8)
        self._mounted = may_mount()
        self._full = False
        self.n = 0
        self._pid = 0

    # its files

    def text(self, n: int) -> str:
        """The C{n}th configuration: another than the one before, for all that it means the same to clients."""
        behind = self._behind[n // 2 % len(self._behind)]
        words: dict[str, Any] = {
            "host": HOST,
            "workers": self.workers,
            "drain": DRAIN,
            "limit": 1_000 + n,
            "n": n,
            "log": "/dev/full" if self._full and not self._mounted else self.disk / "access.log",
            "certificate": self._files[n % len(self._files)].both,
            **self.ports,
            **{f"{name}_behind": port for name, port in behind.items()},
        }
        return CONFIG.format(**words) + (SPARE.format(**words) if n % 2 else "")

    def write(self, text: str | None = None) -> None:
        """Put the next configuration in the place of the file, or C{text}."""
        if text is None:
            self.n += 1
            text = self.text(self.n)
        new = self._folder / "new.toml"
        new.write_text(text)
        new.rename(self._file)

    # its processes

    @contextmanager
    def running(self) -> Iterator[None]:
        """Until the end of the block."""
        self.write()
        self.disk.mkdir(exist_ok=True)
        own = ["--nodaemon", f"--logfile={self.disk}/lproxy.log", f"--pidfile={self.disk}/lproxy.pid"]
        program = "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; run()"
        command = [sys.executable, "-c", program, *own, "lproxy", "--config", str(self._file)]
        if self._mounted:
            command = ["unshare", "--mount", "sh", "-c", MOUNT, "sh", str(self.disk), str(DISK), *command]
        environ = {**os.environ, census.TOKEN: self.token, "PYTHONPATH": str(PROJECT)}
        with open(self._folder / "output", "wb") as output:
            process = subprocess.Popen(
                command, cwd=PROJECT, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        try:
            until(lambda: self.ready(process), "it is ready")
            self._pid = self.in_charge()
            yield
        finally:
            self._end()
            process.wait()

    def _end(self) -> None:
        """All of them, those that drain, too."""
        with contextlib.suppress(ProcessLookupError):
            if self._pid:
                os.kill(self._pid, signal.SIGTERM)
        end = time.monotonic() + 2 * DRAIN
        while (left := census.processes(self.token)) and time.monotonic() < end:
            time.sleep(0.05)
        for pid in left:
            print(f"  note: process {pid} had to be killed", flush=True)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def ready(self, process: "subprocess.Popen[bytes] | None" = None) -> bool:
        """Whether all of it serves."""
        if process is not None and process.poll() is not None:
            raise ProcessFailed(f"lproxy ended with status {process.returncode}: {self.log()}")
        with contextlib.suppress(OSError):
            # else it is 503
            return bool(self.get("ready"))
        return False

    def get(self, path: str, method: str = "GET") -> str:
        """What the admin server says; raises OSError."""
        url = f"http://{HOST}:{self.ports['admin']}/{path}"
        with urlopen(Request(url, method=method, headers={"Accept": "application/json"}), timeout=PATIENCE) as answer:
            text: str = answer.read().decode()
            return text

    def live(self) -> dict[str, Any]:
        """What it says of the configuration that is live."""
        found: dict[str, Any] = json.loads(self.get("config"))["live"]
        return found

    def in_charge(self) -> int:
        """The process that serves, and would hand over: a supervisor where there are several workers."""
        return int(self.live()["takeover"].split("-")[1])

    def table(self) -> list[dict[str, Any]]:
        """Of workers; empty where there is one process."""
        found: list[dict[str, Any]] = json.loads(self.get("workers")) if self.workers > 1 else []
        return found

    def on_disk(self, name: str) -> Path:
        """Where we see what it sees on its own disk."""
        return Path(f"/proc/{self._pid}/root{self.disk}/{name}")

    def log(self) -> str:
        """What it has said of itself."""
        for path in (self.on_disk("lproxy.log"), self._folder / "output"):
            with contextlib.suppress(OSError):
                return path.read_text(errors="replace")
        return ""

    def look(self) -> census.Census:
        """Who is there."""
        return census.census(self.token)

    # what is done to it

    def reload(self, text: str | None = None) -> str:
        """The next configuration, and what came of it."""
        self.write(text)
        try:
            return self.get("reload", "POST")
        except URLError as e:
            return f"not reloaded: {e}"

    def take_over(self) -> None:
        """Have another take the place of the present one."""
        before = self._pid
        os.kill(before, signal.SIGUSR2)
        until(lambda: self._other(before), "a takeover")

    def _other(self, before: int) -> bool:
        with contextlib.suppress(OSError, ValueError, KeyError):
            # it may answer before it is alone: then the one before is still asked now and then, or not all serve
            found = {self.in_charge() for _ in range(4)}
            if found and before not in found and all(row["state"] == "serving" for row in self.table()):
                (self._pid,) = found
                return True
        return False

    def kill(self) -> int:
        """Kill a worker, if there is one that serves; returns which."""
        serving = [row["pid"] for row in self.table() if row["state"] == "serving"]
        if not serving:
            return 0
        pid: int = serving[len(self.kills) % len(serving)]
        own = {port for name, port in self.ports.items() if name not in ("admin", "base")} | {self.ports["base"] + 1}
        # by now it may have ended
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGSTOP)
            until(lambda: census.stopped(pid), "a worker to stop")
            found = census.clients(pid, own)
            self.kills.append(Kill(time.monotonic(), found))
            os.kill(pid, signal.SIGKILL)
        return pid

    def fill(self) -> None:
        """Nothing more can be written."""
        self._full = True
        if not self._mounted:
            self.reload()
            return
        with contextlib.suppress(OSError), open(self.on_disk("filler"), "wb", buffering=0) as file:
            for size in (FILLER, 1):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)):
                        pass

    def clear(self) -> None:
        """There is room again."""
        self._full = False
        if not self._mounted:
            self.reload()
        self.empty()

    def empty(self) -> None:
        """Make room on the small disk."""
        for name in ("filler", "access.log"):
            with contextlib.suppress(OSError):
                os.truncate(self.on_disk(name), 0)


def may_mount() -> bool:
    """Whether we may have a disk of our own."""
    if shutil.which("unshare") is None:
        return False
    trial = ["unshare", "--mount", "mount", "-t", "tmpfs", "endurance", "/mnt"]
    return subprocess.run(trial, check=False, capture_output=True).returncode == 0


def until(done: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    """Wait; raises L{ProcessFailed}."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise ProcessFailed(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.02)
