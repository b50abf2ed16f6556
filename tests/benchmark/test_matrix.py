"""
L{benchmark.matrix}: what varies, as words, as a value, as runs in an order.
"""

import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmark import fortio, matrix, stock
from benchmark.matrix import Matrix, Runtime, WrongMatrix
from benchmark.peers import DIRECT, PEERS, Peer
from benchmark.process import ProcessFailed
from benchmark.session import Plan, Run

NGINX = Peer("nginx", lambda: None, lambda setting: ["nginx"])
OURS = Peer("lproxy", lambda: None, lambda setting: ["python", "-m", "twisted", "lproxy"], ours=True)


class ParseTests(SynchronousTestCase):
    def wrong(self, *words: str) -> str:
        return str(self.assertRaises(WrongMatrix, matrix.parse, words))

    def test_nothing_given(self) -> None:
        """Without words: three body lengths over HTTP, three times."""
        found = matrix.parse([])
        self.assertEqual(Matrix(), found)
        self.assertEqual(((10, 200, 10_000), 3), (found.body, found.iterations))

    def test_everything(self) -> None:
        """Every dimension has its words; max is a rate, none is a set of Python options, one may have several."""
        words = "protocol=http,tcp body=10,10_000 rate=1000,max connections=1,10 reactor=epoll,uvloop iterations=5"
        self.assertEqual(
            Matrix(
                ("http", "tcp"),
                (10, 10_000),
                (1000.0, 0.0),
                (1, 10),
                ("epoll", "uvloop"),
                ((), ("-O",), ("-X", "dev")),
                5,
            ),
            matrix.parse([*words.split(), "python=none,-O,-X dev"]),
        )

    def test_unknown(self) -> None:
        """A key or a value that is none is named, with those that there are."""
        self.assertIn("key of protocol, body", self.wrong("size=10"))
        self.assertIn("'body'", self.wrong("body"))
        self.assertIn("reactor=kqueue: there are epoll, poll", self.wrong("reactor=kqueue"))
        self.assertIn("protocol=udp", self.wrong("protocol=udp"))

    def test_no_number(self) -> None:
        """What must be a number in some range is refused otherwise."""
        for word in ("body=x", "body=", "body=0", "body=10,,20", "rate=0", "rate=-1", "rate=nan", "connections=0"):
            self.assertTrue(self.wrong(word).startswith(word.partition(",")[0].partition("=")[0]), word)
        self.assertIn("between 1 and 262144", self.wrong("body=262145"))

    def test_too_few_iterations(self) -> None:
        """Fewer than three iterations have no spread; and iterations is one number."""
        self.assertIn("between 3 and 100", self.wrong("iterations=2"))
        self.assertIn("one number", self.wrong("iterations=3,4"))

    def test_twice(self) -> None:
        """A key or a value that stands there twice would write its results over the first."""
        self.assertIn("given twice", self.wrong("body=10", "body=20"))
        self.assertIn("twice", self.wrong("body=10,10"))
        self.assertIn("the same name", self.wrong("python=-X a/b,-X a:b"))

    def test_python_options_are_options(self) -> None:
        """A word that is no option would be taken for the program to run."""
        self.assertIn("options like -O", self.wrong("python=O"))
        self.assertIn("python=-X 'dev: No closing quotation", self.wrong("python=-X 'dev"))


class RuntimeTests(SynchronousTestCase):
    def test_command(self) -> None:
        """The interpreter keeps what stands before it and gets its options; the module gets its words."""
        command = Runtime("poll", ("-O", "-X", "dev")).command(["env", "-C", "t", "py", "-m", "twisted", "lproxy"])
        self.assertEqual(["env", "-C", "t", "py", "-O", "-X", "dev", "-c"], command[:8])
        self.assertEqual(["poll", "twisted", "lproxy"], command[9:])

    def test_no_module(self) -> None:
        """A command that is no Python module says so instead of running on whatever reactor it has."""
        for words in (["nginx"], ["python", "-m"]):
            error = self.assertRaises(ProcessFailed, Runtime().command, words)
            self.assertIn(words[0], str(error))

    def test_labels(self) -> None:
        """A label is short and fit for a file name."""
        for python, label in (((), "epoll"), (("-O",), "epoll-O"), (("-X", "a=/b c"), "epoll-X-a=-b-c")):
            self.assertEqual(label, Runtime("epoll", python).label())

    def test_peer(self) -> None:
        """The proxy on a runtime says so in its name and version."""
        peer = Runtime("poll", ("-O",)).of(OURS)
        self.assertEqual("lproxy@poll-O", peer.name)
        self.assertIn("on poll with python -O", peer.version())
        self.assertTrue(peer.ours)

    def test_uvloop_missing_here(self) -> None:
        """Without uvloop that runtime, and no other, is missing."""
        self.patch(matrix, "find_spec", lambda name: None)
        self.assertEqual("uvloop is not installed: pip install uvloop", Runtime("uvloop").of(OURS).missing())
        self.assertIsNone(Runtime("asyncio").of(OURS).missing())


class LauncherTests(SynchronousTestCase):
    """The launcher, in processes of its own."""

    def launched(self, reactor: str, before: str = "") -> "subprocess.CompletedProcess[str]":
        """What the module C{this} says that is run with the words a and b."""
        here = Path(self.mktemp())
        here.mkdir()
        say = "import sys; from twisted.internet import reactor as r; loop = getattr(r, '_asyncioEventloop', None)\n"
        say += "print(type(r).__name__, type(loop).__module__, *sys.argv[1:], __name__, __debug__)"
        (here / "this.py").write_text(say)
        python, *words = Runtime(reactor, ("-O",)).command([sys.executable, "-m", "this", "a", "b"])
        at = words.index(matrix.LAUNCHER)
        words[at] = before + words[at]
        return subprocess.run([python, *words], cwd=here, capture_output=True, text=True, timeout=60)

    def test_reactors(self) -> None:
        """Each reactor is the one in use when the module runs, as the main one, with its words and the options."""
        for reactor, name in (("epoll", "EPollReactor"), ("poll", "PollReactor"), ("select", "SelectReactor")):
            self.assertEqual(f"{name} builtins a b __main__ False\n", self.launched(reactor).stdout)
        said = self.launched("asyncio").stdout
        self.assertEqual("AsyncioSelectorReactor asyncio.unix_events a b __main__ False\n", said)

    def test_uvloop(self) -> None:
        """uvloop's loop is the one that the reactor turns, or its absence is one line."""
        ended = self.launched("uvloop")
        if matrix.Runtime("uvloop").missing():
            self.assertIn("pip install uvloop", ended.stderr)
        else:
            self.assertTrue(ended.stdout.startswith("AsyncioSelectorReactor uvloop"), ended)

    def test_without_uvloop(self) -> None:
        """Where uvloop is missing the program ends with one line that says how to get it."""
        ended = self.launched("uvloop", before="import sys; sys.modules['uvloop'] = None\n")
        self.assertEqual(1, ended.returncode)
        self.assertEqual(f"uvloop is not installed for {sys.executable}: pip install uvloop\n", ended.stderr)


class OrderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.matrix = matrix.parse(["body=10,200", "reactor=epoll,poll", "iterations=3"])
        loads = [fortio.scenario(*load) for load in self.matrix.loads()]
        peers = matrix.contenders(self.matrix, [PEERS[DIRECT], OURS, NGINX])
        self.plan = Plan(loads, peers, [])
        self.slots = [(number, load.name, peer.name) for number, load, peer in matrix.order(self.plan, 3)]

    def test_contenders(self) -> None:
        """Only Python programs have reactors: ours and the stock one, never direct traffic or nginx."""
        peers = matrix.contenders(self.matrix, [PEERS[DIRECT], OURS, NGINX, stock.PEER])
        self.assertEqual(
            ["none", "lproxy@epoll", "lproxy@poll", "nginx", "stock@epoll", "stock@poll"], [peer.name for peer in peers]
        )

    def test_everything_once(self) -> None:
        """Every iteration has every proxy at every load once."""
        self.assertEqual(3 * 2 * 4, len(self.slots))
        self.assertEqual(3 * 2 * 4, len(set(self.slots)))

    def test_interleaved(self) -> None:
        """All proxies measure one load before any measures the next, and an iteration ends before the next begins."""
        places = [slot[:2] for slot in self.slots]
        self.assertEqual(sorted(places), places)
        for at in range(0, len(self.slots), 4):
            self.assertEqual(4, len({proxy for _, _, proxy in self.slots[at : at + 4]}))

    def test_turns(self) -> None:
        """The proxy that comes first is another one in each iteration."""
        self.assertEqual(
            ["none", "lproxy@epoll", "lproxy@poll"],
            [self.slots[at][2] for at in (0, 8, 16)],
        )

    def test_no_proxies(self) -> None:
        """Nothing to measure is no runs."""
        self.assertEqual([], list(matrix.order(Plan(self.plan.scenarios, [], []), 3)))

    def test_labels(self) -> None:
        """A run's labels tell every dimension; what has no reactor has an empty one."""
        first = {"protocol": "http", "body_bytes": 200, "rate_per_s": 1000.0, "connections": 10}
        self.assertEqual(
            {**first, "proxy": "lproxy", "reactor": "poll", "python": "", "iteration": 2},
            matrix.labels(self.matrix, Run("http-b200-r1000-c10", "lproxy@poll", 2)),
        )
        self.assertEqual(
            {**first, "proxy": "nginx", "reactor": "", "python": "", "iteration": 3},
            matrix.labels(self.matrix, Run("http-b200-r1000-c10", "nginx", 3)),
        )
        self.assertRaises(LookupError, matrix.labels, self.matrix, Run("http", "nginx", 3))

    def test_file_names(self) -> None:
        """No two runs share a file name, and none needs a folder."""
        many = matrix.parse(["protocol=http,tcp", "rate=1234567,1234568,max", "connections=1,2", "python=none,-O"])
        plan = Plan(
            [fortio.scenario(*load) for load in many.loads()], matrix.contenders(many, [OURS, stock.PEER, NGINX]), []
        )
        names = [matrix.file_name(Run(load.name, peer.name, at)) for at, load, peer in matrix.order(plan, 3)]
        self.assertEqual(2 * 3 * 3 * 2 * 5 * 3, len(set(names)))
        self.assertFalse([name for name in names if not set(name).isdisjoint("/ ")])

    def test_without_go(self) -> None:
        """Without fortio, and no Go to build it, nothing is left to measure, and a line says why."""
        self.patch(fortio, "missing", lambda: "no Go")
        self.assertEqual(Plan([], [], ["the matrix left out: no Go"]), matrix.plan(self.matrix, [OURS]))
