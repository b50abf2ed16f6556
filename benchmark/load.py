# -*- test-case-name: tests.benchmark.test_load -*-
"""
Put load on one port for so many seconds and say what got through.

Every function runs a process on the load core to its end and returns a L{Load}. What they count differs (requests,
gigabytes, connections), and so does what a unit of CPU is divided by.
"""

import json
import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmark.process import HOST, ProcessFailed, client_command, on_core, run

WRK_SCRIPT = Path(__file__).with_name("wrk.lua")
#: what a load program may take beyond its seconds
GRACE_SECONDS = 30.0


@dataclass(frozen=True)
class Load:
    """
    What a load program did: C{units} of work in C{seconds}.

    C{values} are further figures of its own under the keys of the scenario's metrics; C{notes} what a reader of them
    must know; C{reached} is false when the rate aimed at was not. C{problem} says in words why the result is worth
    nothing, and is empty when it is not.
    """

    units: float
    seconds: float
    values: dict[str, float] = field(default_factory=dict)
    problem: str = ""
    notes: tuple[str, ...] = ()
    reached: bool = True


#: the share of the rate below which it counts as missed
REACHED = 0.99
#: the share of requests that may fail before the others' figures are worth nothing
FAILED = 0.01


def kept(text: str, raw: Path | None) -> str:
    """C{text}, a program's output, once it is in the file C{raw}."""
    if raw is not None:
        raw.write_text(text)
    return text


def result_line(output: str) -> dict[str, float]:
    """The JSON object on the last line that begins with RESULT."""
    for line in reversed(output.splitlines()):
        if line.startswith("RESULT "):
            result: dict[str, float] = json.loads(line.removeprefix("RESULT "))
            return result
    raise ProcessFailed(f"no RESULT in: {output[-2000:]}")


def problem(errors: float, done: float, units: str) -> str:
    """Words for too many errors among C{done} units and those errors, or for no work done at all."""
    if not done:
        return f"no {units}" + (f", {errors:.0f} errors" if errors else "")
    return f"{errors:.0f} of {done + errors:.0f} {units} failed" if errors > FAILED * (done + errors) else ""


def timed(result: dict[str, float], units: str) -> Load:
    """What our own load programs and wrk's script print, in milliseconds and per second."""
    values = {f"{units}_per_s": result[units] / result["seconds"], "errors": result["errors"]}
    values |= {f"{key[:-3]}_ms": value / 1e3 for key, value in result.items() if key.endswith("_us")}
    return Load(result[units], result["seconds"], values, problem(result["errors"], result[units], units))


def at_rate(done: Load, rate: float, slack: float = 0.0) -> Load:
    """C{done}, marked when it did not reach C{rate} per second; C{slack} is seconds that do not count."""
    if not rate or done.units >= REACHED * rate * (done.seconds - slack):
        return done
    missed = f"missed the rate: {done.units / done.seconds:.0f} of {rate:.0f}/s"
    return replace(done, notes=(*done.notes, missed), reached=False)


def http(
    port: int, seconds: float, core: int, connections: int = 32, raw: Path | None = None, tls: bool = False
) -> Load:
    """wrk, closed loop: each connection sends its next request when the last is answered. Units: requests."""
    return timed(wrk(port, seconds, core, connections, "item", tls, raw), "requests")


def wrk(
    port: int, seconds: float, core: int, connections: int, path: str, tls: bool, raw: Path | None
) -> dict[str, float]:
    """What our script for wrk prints after requests for C{/path/...}."""
    whole = max(1, round(seconds))  # wrk knows whole seconds only
    command = ["wrk", "-t1", f"-c{connections}", f"-d{whole}s", "--timeout", "5s", "-s", str(WRK_SCRIPT)]
    # a name, for an address is no server name (RFC 6066, 3)
    place = f"https://localhost:{port}/" if tls else f"http://{HOST}:{port}/"
    command += [place, "--", str(random.getrandbits(30)), path]
    return result_line(kept(run(command, core, whole + GRACE_SECONDS), raw))


def bytes_of(result: dict[str, float]) -> Load:
    """A download. Units: gigabytes (1e9 bytes) received."""
    gigabytes = result["bytes"] / 1e9
    if not gigabytes or result["errors"]:
        return Load(0.0, result["seconds"], {}, problem(result["errors"], gigabytes, "downloads") or "errors")
    return Load(gigabytes, result["seconds"], {"gbit_per_s": gigabytes * 8 / result["seconds"], "errors": 0.0})


def tls_bulk(port: int, seconds: float, core: int, connections: int, raw: Path | None = None) -> Load:
    """Large answers over TLS, one after the other on each connection."""
    return bytes_of(wrk(port, seconds, core, connections, "bulk", True, raw))


def handshakes(port: int, seconds: float, core: int, resume: bool, raw: Path | None = None) -> Load:
    """TLS handshakes and nothing else, eight at a time. Units: handshakes."""
    command = client_command("handshakes", str(port), "--seconds", str(seconds), *["--resume"] * resume)
    return timed(result_line(kept(run(command, core, seconds + GRACE_SECONDS), raw)), "handshakes")


def h2(how: str, port: int, seconds: float, core: int, raw: Path | None = None, **more: str | int) -> dict[str, float]:
    """What our HTTP/2 client prints; C{more} are its options."""
    options = [word for name, value in more.items() for word in (f"--{name}", str(value))]
    command = client_command("h2", how, str(port), "--seconds", str(seconds), *options)
    return result_line(kept(run(command, core, seconds + GRACE_SECONDS), raw))


def http_rate(port: int, seconds: float, core: int, rate: float = 2000.0, raw: Path | None = None) -> Load:
    """A fixed rate of requests, open loop, on 32 connections. Units: requests."""
    command = client_command("rate", str(port), "--rate", str(rate), "--seconds", str(seconds))
    result = result_line(kept(run(command, core, seconds + GRACE_SECONDS), raw))
    return at_rate(timed(result, "requests"), rate)


def tcp(port: int, seconds: float, core: int, raw: Path | None = None) -> Load:
    """One iperf3 stream from client to server. Units: gigabytes (1e9 bytes) received."""
    whole = max(1, round(seconds))  # iperf3 knows whole seconds only
    command = ["iperf3", "--client", HOST, "--port", str(port), "--time", str(whole), "--json"]
    for attempt in range(10):
        try:
            output = kept(run(command, core, whole + GRACE_SECONDS), raw)
            break
        except ProcessFailed as error:
            # its server needs a moment after the last test
            if "busy" not in str(error) or attempt == 9:
                raise
            time.sleep(0.2)
    told = json.loads(output)
    received = told.get("end", {}).get("sum_received")
    if received is None:
        raise ProcessFailed(f"iperf3 gave no result: {told.get('error', output[-500:])}")
    gigabytes = received["bytes"] / 1e9
    if not gigabytes:
        return Load(0.0, received["seconds"], {}, "no bytes")
    values = {"gbit_per_s": gigabytes * 8 / received["seconds"]}
    return Load(gigabytes, received["seconds"], values)


def churn(port: int, seconds: float, core: int, parallel: int = 8, raw: Path | None = None) -> Load:
    """New TCP connections, each with one short echo. Units: connections."""
    command = client_command("churn", str(port), "--seconds", str(seconds), "--parallel", str(parallel))
    return timed(result_line(kept(run(command, core, seconds + GRACE_SECONDS), raw)), "connections")


@dataclass(frozen=True)
class Holder:
    """A process that holds what is idle open."""

    process: "subprocess.Popen[str]"

    def _expect(self, word: str) -> int:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith(word):
            self.process.wait()
            assert self.process.stderr is not None
            raise ProcessFailed(f"the idle holder said {line!r}, not {word}:\n{self.process.stderr.read()[-1500:]}")
        return int(line.split()[1])

    def open(self, count: int, what: str = "") -> int:
        """
        Open C{count} connections more, one request on each; returns how many are held now.

        C{what} is a word for what else it may be, where the program knows several.
        """
        assert self.process.stdin is not None
        self.process.stdin.write(f"{what} {count}\n".lstrip())
        self.process.stdin.flush()
        return self._expect("HOLDING")

    def finish(self) -> int:
        """Let go of all; returns how many the proxy had closed before."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self._expect("CLOSED")


@contextmanager
def holding(core: int, program: str, *arguments: str) -> Iterator[Holder]:
    """A L{Holder} on C{core} with no connections yet."""
    with on_core(core):
        process = subprocess.Popen(
            client_command(program, *arguments),
            cwd=WRK_SCRIPT.parent.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    try:
        yield Holder(process)
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
