"""
L{benchmark.load}: how load programs are called, and what their words come to.
"""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from benchmark import load
from benchmark.load import Holder, Load
from benchmark.process import ProcessFailed


def result(**more: float) -> str:
    """What a load program of ours prints of 400 requests in four seconds."""
    return "RESULT " + json.dumps({"requests": 400, "seconds": 4.0, "p99_us": 1500, "errors": 0} | more) + "\n"


class OutputTests(SynchronousTestCase):
    def test_timed(self) -> None:
        """Our programs' and wrk's microseconds become milliseconds, their units a rate."""
        done = load.timed({"requests": 200, "seconds": 4.0, "p50_us": 1500, "p999_us": 2000, "errors": 0}, "requests")
        self.assertEqual({"requests_per_s": 50.0, "errors": 0, "p50_ms": 1.5, "p999_ms": 2.0}, done.values)
        self.assertEqual((200, 4.0, ""), (done.units, done.seconds, done.problem))

    def test_timed_problem(self) -> None:
        """Too many errors make the whole result worth nothing; the units are called by their name."""
        done = load.timed({"connections": 10, "seconds": 1.0, "errors": 10}, "connections")
        self.assertEqual("10 of 20 connections failed", done.problem)

    def test_problem(self) -> None:
        """One failure in a hundred is borne, two are not; nothing at all is told with its errors."""
        self.assertEqual("", load.problem(1, 99, "requests"))
        self.assertEqual("2 of 100 requests failed", load.problem(2, 98, "requests"))
        self.assertEqual("no requests, 7 errors", load.problem(7, 0, "requests"))
        self.assertEqual("no requests", load.problem(0, 0, "requests"))

    def test_at_rate(self) -> None:
        """A rate that was not reached is marked; without one, nothing is."""
        done = Load(980, 1.0)
        self.assertEqual(("missed the rate: 980 of 1000/s",), load.at_rate(done, 1000.0).notes)
        self.assertFalse(load.at_rate(done, 1000.0).reached)
        for fine in (
            load.at_rate(Load(995, 1.0), 1000.0),
            load.at_rate(done, 0.0),
            load.at_rate(done, 1000.0, slack=0.05),
        ):
            self.assertEqual((True, ()), (fine.reached, fine.notes))

    def test_at_rate_keeps(self) -> None:
        """What was said and found before is not lost with the mark."""
        done = load.at_rate(Load(1, 1.0, {"p99_ms": 3.0}, "odd", ("slow",)), 1000.0)
        self.assertEqual(({"p99_ms": 3.0}, "odd"), (done.values, done.problem))
        self.assertEqual(("slow", "missed the rate: 1 of 1000/s"), done.notes)

    def test_result_line(self) -> None:
        """The last line that begins with RESULT counts; without one, the output is told."""
        self.assertEqual({"a": 2}, load.result_line('x\nRESULT {"a": 1}\nRESULT {"a": 2}\ny\n'))
        for text in ("usage: x", "", "no RESULT {}", "RESULT{}"):
            self.assertIn(f"no RESULT in: {text}", str(self.assertRaises(ProcessFailed, load.result_line, text)))

    def test_cut_off(self) -> None:
        """A result that was cut off in the middle is none."""
        self.assertRaises(ValueError, load.result_line, 'RESULT {"requests": 1')

    def test_kept(self) -> None:
        """A program's output is kept where somebody wants it, and given on."""
        path = Path(self.mktemp())
        self.assertEqual(("a", "b"), (load.kept("a", None), load.kept("b", path)))
        self.assertEqual("b", path.read_text())


class CommandTests(SynchronousTestCase):
    """Load programs that do not run: their command lines are kept, their words given."""

    def setUp(self) -> None:
        self.commands: list[list[str]] = []
        self.answers: list[str | Exception] = []
        self.naps: list[float] = []
        self.patch(load, "run", self.run_instead)
        self.patch(load.time, "sleep", self.naps.append)

    def run_instead(self, command: Sequence[str], core: int, timeout: float) -> str:
        self.commands.append(list(command))
        self.assertEqual(3, core)
        self.timeout = timeout
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def test_wrk(self) -> None:
        """wrk knows whole seconds only, and at least one; it gets its time and some more."""
        for seconds, said in ((0.1, "-d1s"), (2.6, "-d3s"), (5, "-d5s")):
            self.answers = [result()]
            self.assertEqual(400, load.http(8080, seconds, 3).units)
            self.assertIn(said, self.commands[-1])
            self.assertGreater(self.timeout, float(said[2:-1]))
        self.assertIn("-c32", self.commands[-1])
        self.assertIn("http://127.0.0.1:8080/", self.commands[-1])

    def test_raw(self) -> None:
        """What a program printed is kept word for word, also where it is no result."""
        path = Path(self.mktemp())
        self.answers = ["Running 1s test\n" + result(), "unable to connect\n"]
        load.http(8080, 1, 3, raw=path)
        self.assertEqual("Running 1s test\n" + result(), path.read_text())
        self.assertRaises(ProcessFailed, load.http, 8080, 1, 3, raw=path)
        self.assertEqual("unable to connect\n", path.read_text())

    def test_rate(self) -> None:
        """The rate is asked for, and marked when it was missed."""
        self.answers = [result(), result()]
        self.assertTrue(load.http_rate(8080, 4.0, 3, 100.0).reached)
        self.assertFalse(load.http_rate(8080, 4.0, 3, 200.0).reached)
        at = self.commands[-1].index("--rate")
        self.assertEqual(["200.0", "--seconds", "4.0"], self.commands[-1][at + 1 : at + 4])

    def test_churn(self) -> None:
        """Connections are the units."""
        line = result(connections=100)
        self.answers = [line]
        done = load.churn(8080, 4.0, 3)
        self.assertEqual((100, 25.0), (done.units, done.values["connections_per_s"]))

    def test_tls(self) -> None:
        """Over TLS by a name: an address is no server name. A download counts bytes."""
        self.answers = [result(), result(bytes=8_000_000_000)]
        load.http(8443, 4.0, 3, tls=True)
        done = load.tls_bulk(8443, 4.0, 3, 2)
        self.assertEqual((8.0, {"gbit_per_s": 16.0, "errors": 0.0}), (done.units, done.values))
        self.assertEqual(["https://localhost:8443/"] * 2, [one[-4] for one in self.commands])
        self.assertEqual(["item", "bulk"], [one[-1] for one in self.commands])

    def test_handshakes(self) -> None:
        """Full ones, unless they are to be resumed."""
        self.answers = [result(handshakes=100)] * 2
        self.assertEqual(100, load.handshakes(8443, 4.0, 3, False).units)
        self.assertEqual(25.0, load.handshakes(8443, 4.0, 3, True).values["handshakes_per_s"])
        self.assertEqual([False, True], ["--resume" in one for one in self.commands])

    def test_h2(self) -> None:
        """Our client's options are named as ours."""
        self.answers = [result()]
        self.assertEqual(400, load.h2("calls", 8080, 4.0, 3, streams=10, path="/x/")["requests"])
        options = ["--seconds", "4.0", "--streams", "10", "--path", "/x/"]
        self.assertEqual(["calls", "8080", *options], self.commands[0][3:])

    def received(self, **more: Any) -> str:
        """What iperf3 prints, shortened."""
        return json.dumps({"end": {"sum_received": {"bytes": 5_000_000_000, "seconds": 4.0} | more}})

    def test_tcp(self) -> None:
        """Gigabytes that arrived, and their bits a second."""
        self.answers = [self.received()]
        done = load.tcp(5201, 3.7, 3)
        self.assertEqual((5.0, 4.0, {"gbit_per_s": 10.0}), (done.units, done.seconds, done.values))
        self.assertEqual("4", self.commands[0][self.commands[0].index("--time") + 1])

    def test_tcp_nothing(self) -> None:
        """No bytes at all, even in no time, are a problem and no division by zero."""
        self.answers = [self.received(bytes=0, seconds=0)]
        self.assertEqual("no bytes", load.tcp(5201, 1, 3).problem)

    def test_tcp_failed(self) -> None:
        """Where iperf3 has no result, what it says of that is the reason."""
        said = "unable to receive results"
        for text in (json.dumps({"start": {}, "end": {}, "error": said}), json.dumps({"error": said})):
            self.answers = [text]
            self.assertIn(said, str(self.assertRaises(ProcessFailed, load.tcp, 5201, 1, 3)))

    def test_tcp_busy(self) -> None:
        """iperf3's server needs a moment after the last test, so that it is asked again; any other failure is one."""
        busy = ProcessFailed("error - the server is busy running a test")
        self.answers = [busy, busy, self.received()]
        self.assertEqual(5.0, load.tcp(5201, 1, 3).units)
        self.assertEqual((3, 2), (len(self.commands), len(self.naps)))
        self.answers = [ProcessFailed("refused"), self.received()]
        self.assertRaises(ProcessFailed, load.tcp, 5201, 1, 3)
        self.assertEqual(1, len(self.answers))

    def test_tcp_always_busy(self) -> None:
        """A server that stays busy is given up."""
        self.answers = [ProcessFailed("busy")] * 100
        self.assertRaises(ProcessFailed, load.tcp, 5201, 1, 3)
        self.assertEqual(10, len(self.commands))


class FakeHolder:
    """A process that has said what it is going to say."""

    def __init__(self, said: str, complained: str = "") -> None:
        self.stdin, self.stdout, self.stderr = io.StringIO(), io.StringIO(said), io.StringIO(complained)
        self.waited = 0

    def wait(self) -> None:
        self.waited += 1


class HolderTests(SynchronousTestCase):
    def test_open(self) -> None:
        """It is told how many more, and says how many there are."""
        process = FakeHolder("HOLDING 100\nHOLDING 300\nCLOSED 2\n")
        holder = Holder(process)  # type: ignore[arg-type]
        self.assertEqual([100, 300], [holder.open(100), holder.open(200)])
        self.assertEqual("100\n200\n", process.stdin.getvalue())
        self.assertEqual(2, holder.finish())
        self.assertTrue(process.stdin.closed)

    def test_kinds(self) -> None:
        """A program that holds several kinds of things is told which."""
        process = FakeHolder("HOLDING 7\n")
        self.assertEqual(7, Holder(process).open(7, "streams"))  # type: ignore[arg-type]
        self.assertEqual("streams 7\n", process.stdin.getvalue())

    def test_died(self) -> None:
        """A holder that ended, or says something else, is told with its last words, once it is gone."""
        for said in ("", "Traceback\n"):
            process = FakeHolder(said, "ConnectionRefusedError")
            error = self.assertRaises(ProcessFailed, Holder(process).open, 1)  # type: ignore[arg-type]
            self.assertIn("ConnectionRefusedError", str(error))
            self.assertEqual(1, process.waited)
