"""
L{benchmark.matrix}: what varies, as words, as a value, as runs in an order.
"""

import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmark import matrix, stock
from benchmark.matrix import Matrix, Runtime, WrongMatrix
from benchmark.peer import DIRECT, Peer
from benchmark.peers import PEERS
from benchmark.process import ProcessFailed

NGINX = Peer("nginx", lambda: None, lambda setting: ["nginx"])
OURS = Peer("lproxy", lambda: None, lambda setting: ["python", "-m", "twisted", "lproxy"], ours=True, reactor="epoll")


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


class ContendersTests(SynchronousTestCase):
    def test_contenders(self) -> None:
        """Only programs on Twisted have reactors: ours and the stock one, never direct traffic or nginx."""
        asked = matrix.parse(["reactor=epoll,poll"])
        found = matrix.contenders(asked, [PEERS[DIRECT], OURS, NGINX, stock.PEER])
        names = ["none", "lproxy@epoll", "lproxy@poll", "nginx", "stock@epoll", "stock@poll"]
        self.assertEqual(names, [peer.name for peer in found])
        self.assertEqual(("lproxy", "poll", ""), (found[2].product, found[2].reactor, found[2].python))

    def test_usual(self) -> None:
        """Where nothing but the usual reactor is asked for, names stay as they are."""
        self.assertEqual([OURS, NGINX], matrix.contenders(Matrix(), [OURS, NGINX]))

    def test_scenarios(self) -> None:
        """One for each combination of numbers, and no two of one name."""
        asked = matrix.parse(["protocol=http,tcp", "body=10,200", "rate=1234567,1234568,max", "connections=1,2"])
        names = [scenario.name for scenario in matrix.scenarios(asked)]
        self.assertEqual((2 * 2 * 3 * 2, names), (len(set(names)), list(dict.fromkeys(names))))
        self.assertIn("fortio-http-b200-rmax-c2", names)
