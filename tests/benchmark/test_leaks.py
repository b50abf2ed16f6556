# -*- test-case-name: tests.benchmark.test_leaks -*-
"""
What a run leaves behind: logs as real runs wrote them, shortened in the middle, and descriptors.
"""

from __future__ import annotations

import json
import os
import socket
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from benchmark import leaks
from benchmark.leaks import complaints, descriptors, grown, in_log, settled, watched
from benchmark.process import ProcessFailed

GOOD_LINES = """\
2026-11-23T18:23:59+0000 [twisted.scripts._twistd_unix.UnixAppLogger#info] twistd 26.10.0 (python 3.11.7) starting up.
2026-11-23T18:23:59+0000 [-] _Site starting on 18191
2026-11-23T18:23:59+0000 [lproxy#info] http: outbound on 127.0.0.1:18140, target 127.0.0.1:18080
2026-11-23T18:24:00+0000 [lproxy#warn] listener http: client 127.0.0.1: connect: 127.0.0.1:18080 refused: [Errno 111] \
Connection refused
2026-11-23T18:24:00+0000 [-] (TCP Port 18191 Closed)
2026-11-23T18:24:00+0000 [twisted.internet.base#info] Main loop terminated.
"""

DEFERRED_LINES = """\
2026-11-23T18:24:00+0000 [twisted.internet.defer#critical] Unhandled error in Deferred:
2026-11-23T18:24:00+0000 [twisted.internet.defer#critical]\x20
\tTraceback (most recent call last):
\tFailure: builtins.ValueError: nobody looks at me
\t
"""

BUG_LINES = """\
2026-11-23T18:24:00+0000 [lproxy#critical] unexpected error in protocol http; its connection is closed
\tTraceback (most recent call last):
\t  File "lproxy/transport/socket.py", line 105, in attach
\t    protocol.dataReceived(prefix)
\t  File "lproxy/protocols/http/session.py", line 82, in dataReceived
\t    self._advance()
\t  File "lproxy/protocols/http/http1.py", line 178, in head
\t    request = make_request(method, url, version, headers)
\tbuiltins.KeyError: 'a bug'
\t
"""


def event(level: str, namespace: str, form: str, **more: Any) -> str:
    """A line of twist's JSON log."""
    uuid = "02e59486-f24d-46ad-8224-3acdf2a5732a"
    head = {"log_logger": {"unpersistable": True}, "log_level": {"name": level, "__class_uuid__": uuid}}
    return (
        "\x1e" + json.dumps({**more, **head, "log_namespace": namespace, "log_source": None, "log_format": form}) + "\n"
    )


def failure(kind: str, *frames: list[Any]) -> dict[str, Any]:
    """An exception, as JSON has it: no text, no traceback."""
    return {
        "count": 9,
        "type": {"__module__": "builtins", "__name__": kind},
        "value": {"unpersistable": True},
        "tb": None,
        "frames": list(frames),
    }


GOOD_JSON = event("info", "twisted.application.runner._runner.Runner", "Starting reactor...") + event(
    "warn",
    "lproxy",
    "{text}",
    text="connect: 127.0.0.1:18080 refused",
    log_flattened={"text!s:": "connect: 127.0.0.1:18080 refused"},
)
DEFERRED_JSON = event("critical", "twisted.internet.defer", "Unhandled error in Deferred:", isError=True) + event(
    "critical", "twisted.internet.defer", "", log_failure=failure("ValueError"), debugInfo=""
)
BUG_JSON = event(
    "critical",
    "lproxy",
    "unexpected error in protocol {protocol}; its connection is closed",
    protocol="http",
    log_failure=failure("KeyError", ["head", "lproxy/protocols/http/http1.py", 178, [], []]),
    log_flattened={"protocol!s:": "http", "protocol!:": "http"},
)


class LogTests(SynchronousTestCase):
    """What is found in a log."""

    def whats(self, log: str) -> list[str]:
        return [finding.what for finding in in_log(log)]

    def test_good(self) -> None:
        """A start, warnings about an upstream that is not there, and an end are nothing to complain of."""
        for log in ("", GOOD_LINES, GOOD_JSON, "a line of another program's\n"):
            self.assertEqual("", complaints(log))

    def test_bug(self) -> None:
        """A traceback of lproxy's is found in both forms of the log, though JSON does not call it that."""
        for log in (GOOD_LINES + BUG_LINES + GOOD_LINES, GOOD_JSON + BUG_JSON + GOOD_JSON):
            self.assertEqual(["lproxy's log: a traceback"], self.whats(log))

    def test_evidence(self) -> None:
        """It is shown: the line, where it was raised, what."""
        self.assertEqual(
            "lproxy's log: a traceback\n"
            "  [lproxy#critical] unexpected error in protocol http; its connection is closed\n"
            "    lproxy/protocols/http/http1.py:178 in head\n"
            "    builtins.KeyError",
            complaints(GOOD_JSON + BUG_JSON),
        )
        words = complaints(GOOD_LINES + BUG_LINES + GOOD_LINES).splitlines()
        self.assertIn("[lproxy#critical] unexpected error", words[1])
        self.assertEqual("builtins.KeyError: 'a bug'", words[-1].strip())

    def test_long(self) -> None:
        """Of a long traceback the beginning is shown, and the last line, which says what it was."""
        middle = '\t  File "x.py", line 1, in f\n' * 100
        (finding,) = in_log(BUG_LINES.replace("\tbuiltins", middle + "\tbuiltins"))
        self.assertEqual(leaks.LINES, len(finding.evidence))
        self.assertIn("a bug", finding.evidence[-1])

    def test_deferred(self) -> None:
        """A Deferred's failure that nobody handled is one finding, its two events together."""
        for log in (DEFERRED_LINES, DEFERRED_JSON):
            (finding,) = in_log(GOOD_LINES + log + GOOD_JSON)
            self.assertEqual("log: an unhandled error in a Deferred", finding.what)
            self.assertIn("ValueError", finding.evidence[-1])

    def test_several(self) -> None:
        """Each is told, the first ones in full."""
        log = DEFERRED_LINES + BUG_LINES + DEFERRED_JSON + BUG_JSON
        self.assertEqual(4, len(in_log(log)))
        self.assertTrue(complaints(BUG_LINES * 30).endswith(f"and {30 - leaks.FINDINGS} more"))

    def test_level(self) -> None:
        """A line of lproxy's own at error level is a defect without any traceback, one at warn is not."""
        line = "2026-11-23T18:24:00+0000 [lproxy#{}] cannot go on\n"
        for level, want in (("error", 1), ("critical", 1), ("warn", 0), ("info", 0)):
            self.assertEqual(want, len(in_log(line.format(level))), level)
            self.assertEqual(want, len(in_log(event(level, "lproxy", "cannot go on"))), level)

    def test_elsewhere(self) -> None:
        """What Python itself writes among the log counts, too."""
        for text in (
            "Traceback (most recent call last):\n  File x\nKeyError: 1\n",
            "Exception ignored in: <function f>\n",
            "x.py:1: RuntimeWarning: coroutine 'f' was never awaited\n",
            "Fatal Python error: Segmentation fault\n",
        ):
            self.assertEqual(1, len(in_log(GOOD_LINES + GOOD_JSON + text + GOOD_JSON)), text)

    def test_half(self) -> None:
        """A log that ends, or begins, in the middle of an event is read as far as it goes."""
        self.assertEqual([], in_log(GOOD_JSON[:-20]))
        self.assertEqual(1, len(in_log(BUG_LINES[:150])))
        self.assertEqual([], in_log('{"a": 1}\n[1]\n{nothing}\n'))


#: of an idle proxy with one connection through it; the ports are 18140 (its), 18080 (the upstream's)
TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:46DC 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 101 1 0 100 0 0 10 0
   1: 0100007F:46DC 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 102 1 0 20 4 30 10 -1
   2: 0100007F:C351 0100007F:46A0 08 00000000:00000000 00:00000000 00000000     0        0 103 1 0 20 4 30 10 -1
"""


class DescriptorTests(SynchronousTestCase):
    """What stays open."""

    def test_sockets(self) -> None:
        """A TCP socket is named by its state and the port that tells whose it is."""
        self.assertEqual(
            {
                "101": "TCP listening, port 18140",
                "102": "TCP established, port 18140",
                "103": "TCP close-wait, port 18080",
            },
            leaks.tcp_sockets(TABLE),
        )

    def test_own(self) -> None:
        """Those of a process are counted by what they are."""
        before = descriptors(os.getpid())
        with socket.create_server(("127.0.0.1", 0)) as server, open(__file__) as file:
            more = descriptors(os.getpid()) - before
            port = server.getsockname()[1]
            self.assertEqual(1, more[f"TCP listening, port {port}"])
            self.assertEqual(1, more[f"file {os.path.realpath(file.name)}"])

    def test_gone(self) -> None:
        """A process that is no more has not settled: it has failed."""
        self.assertRaises(ProcessFailed, descriptors, 2**22 + 1)

    def test_grown(self) -> None:
        """So many more are allowed, of whatever kind; over it, what there is more of is told."""
        before = {"pipe": 2, "TCP established, port 80": 3}
        self.assertIsNone(grown(before, {"pipe": 6, "TCP established, port 80": 3}, 4))
        self.assertIsNone(grown(before, {}, 4))
        finding = grown(before, {"pipe": 3, "TCP established, port 80": 35}, 4)
        assert finding is not None
        self.assertIn("33 descriptors more than before", finding.what)
        self.assertEqual(("+32  TCP established, port 80", "+1  pipe"), finding.evidence)

    def test_settles(self) -> None:
        """Connections that are pooled for a while are waited for, and no longer than for them."""
        counts, slept = [40, 40, 20, 3, 3], []
        self.assertIsNone(settled({"socket": 0}, lambda: {"socket": counts.pop(0)}, 4, 10.0, slept.append))
        self.assertEqual(([3], [leaks.LOOK] * 3), (counts, slept))

    def test_never(self) -> None:
        """What stays open is told in the end."""
        slept: list[float] = []
        self.assertIsNotNone(settled({}, lambda: {"socket": 5}, 4, 2.0, slept.append))
        self.assertAlmostEqual(2.0, sum(slept), delta=leaks.LOOK)

    def test_watched(self) -> None:
        """A block that leaves descriptors open fails, with what they are; one that fails by itself says that alone."""
        left: list[socket.socket] = []
        self.addCleanup(lambda: [one.close() for one in left])

        def leak() -> None:
            with watched(os.getpid(), 4, 0.0):
                left.extend(socket.socket() for _ in range(10))

        error = self.assertRaises(ProcessFailed, leak)
        self.assertIn("10 descriptors more", str(error))
        self.assertIn("+10  socket, not TCP or not connected", str(error))

        def fail() -> None:
            with watched(os.getpid(), 4, 0.0):
                left.extend(socket.socket() for _ in range(10))
                raise KeyError("wrk is gone")

        self.assertRaises(KeyError, fail)
        with watched(os.getpid(), 4, 0.0), watched(None):
            pass
