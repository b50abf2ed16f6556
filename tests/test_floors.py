# -*- test-case-name: tests.test_floors -*-
"""
The rules of the house that can be read off the source: who may import whom, and what a file looks like.

Floors, from below: values < stack < transport, discover < what protocols have in common < tcp < api < protocols <
metrics, plugins, testing < admin < app < tap, cli. A floor imports lower ones and its own. The other rules stand in
L{tests.floors_rules}, one function each, and in L{tests.floors_house}, those that need all files at once.

A file over 300 lines says why in its docstring, in a sentence that begins "Over 300 lines:". One over 500 is split.
"""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.floors_house import (
    ELSEWHERE,
    back_doors,
    circles,
    complaints_of_all,
    components,
    edges,
    lookups,
    without_tests,
)
from tests.floors_rules import complaints
from tests.floors_source import FLOORS, ROOT, VALUES, Source, floor, sources, under


class HouseTests(SynchronousTestCase):
    """What is in lproxy/."""

    def test_rules(self) -> None:
        """No file breaks a rule."""
        found = [line for source in sources() for line in complaints(source)] + complaints_of_all(sources())
        if found:
            self.fail("\n".join(["", *found]))

    def test_all_seen(self) -> None:
        """The rules were held against every floor, not against an empty folder."""
        seen = {floor(source.module)[1] for source in sources()}
        self.assertEqual(set(), {name for _, name in FLOORS.values()} - seen)

    def test_nothing_gone(self) -> None:
        """What the rules name is there: what has been renamed is not left without its rule."""
        modules = [source.module for source in sources()]
        named = {*FLOORS, *(f"lproxy.{name}" for name in VALUES), *ELSEWHERE}
        self.assertEqual(set(), {name for name in named if not any(under(module, name) for module in modules)})

    def test_no_reactor(self) -> None:
        """Importing all of lproxy installs no reactor, so C{--reactor} chooses freely."""
        program = (
            "import importlib, sys\n"
            "for name in sys.argv[1:]:\n"
            "    importlib.import_module(name)\n"
            "    if 'twisted.internet.reactor' in sys.modules: sys.exit(f'{name} imports the reactor')\n"
        )
        names = [source.module for source in sources() if not source.module.endswith("__main__")]
        done = subprocess.run(
            [sys.executable, "-c", program, *names], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        self.assertEqual((0, ""), (done.returncode, done.stderr))


#: a first line and a docstring that are in order
HEAD = '# -*- test-case-name: tests.test_floors -*-\n"""Doc."""\n'


class RuleTests(SynchronousTestCase):
    """The rules see what they are there to see."""

    def good(self, module: str, body: str, is_package: bool = False) -> None:
        """C{body} in C{module} breaks no rule."""
        self.assertEqual([], complaints(Source(module, HEAD + body, is_package)))

    def bad(self, module: str, body: str, *what: str, is_package: bool = False) -> None:
        """C{body} in C{module} is refused, on its last line, for each of C{what} and nothing else."""
        found = complaints(Source(module, HEAD + body, is_package))
        line = (HEAD + body).rstrip("\n").count("\n") + 1
        self.assertEqual([f"{module}:{line}: {w}" for w in what], found)

    def test_downward(self) -> None:
        """What the design shows is allowed."""
        self.good("lproxy.target", "import dataclasses\nfrom lproxy.errors import ProxyError\n")
        self.good("lproxy.stack.lock", "from twisted.internet.defer import Deferred\nfrom lproxy.stack import x\n")
        self.good("lproxy.transport.detect", "import socket\nfrom lproxy.discover import dns\n")
        self.good(
            "lproxy.protocols.http.session", "from lproxy.protocols.http.h1.head import Reader\nimport httptools\n"
        )
        self.good("lproxy.protocols.http.detect", "from lproxy.verdict import Match\n")
        self.good("lproxy.metrics", "import prometheus_client\nfrom lproxy.stack.observe import Counts\n")
        self.good("lproxy.plugins.http", "from lproxy.protocols.http import factory\n")
        self.good("lproxy.app.inbound", "from lproxy import metrics, plugins\nfrom lproxy.app.runtime import R\n")
        self.good("lproxy.app.service", "from lproxy.admin.server import Admin\nfrom lproxy.app.runtime import R\n")
        self.good("lproxy.admin.pages", "from lproxy import metrics\n")
        self.good("lproxy.tap", "import os\nfrom lproxy.app import service\nos.environ['X']\n")

    def test_upward(self) -> None:
        """An import of a higher floor is refused, however it is written."""
        up = "values imports lproxy.stack.lock, which is on the floor of stack"
        self.bad("lproxy.target", "import lproxy.stack.lock\n", up)
        self.bad("lproxy.target", "from lproxy.stack import lock\n", up)
        self.bad("lproxy.target", "from .stack import lock\n", up)
        self.bad("lproxy.target", "def f():\n    from lproxy.stack import lock\n", up)
        self.bad("lproxy.target", "if TYPE_CHECKING:\n    from lproxy.stack import lock\n", up)
        self.bad(
            "lproxy.stack.lock",
            "from lproxy.transport.detect import Detection\n",
            "stack imports lproxy.transport.detect.Detection, which is on the floor of transport",
        )
        self.bad(
            "lproxy.discover.dns",
            "from ..protocols import http\n",
            "discover imports lproxy.protocols.http, which is on the floor of protocols",
        )
        self.bad(
            "lproxy.app.inbound", "from lproxy import cli\n", "app imports lproxy.cli, which is on the floor of cli"
        )

    def test_relative_in_package(self) -> None:
        """A relative import in an C{__init__.py} is read from the package itself."""
        self.good("lproxy.stack", "from .lock import Lock\n", is_package=True)
        self.bad(
            "lproxy.stack",
            "from ..app import inbound\n",
            "stack imports lproxy.app.inbound, which is on the floor of app",
            is_package=True,
        )

    def test_app_alone(self) -> None:
        """Metrics and plugins are imported by the assembly and nobody below it, testing by nobody."""
        for floor_name in ("metrics", "plugins", "testing"):
            for module in ("lproxy.protocols.http.session", "lproxy.transport.listen"):
                found = complaints(Source(module, HEAD + f"from lproxy import {floor_name}\n"))
                self.assertIn(f"lproxy.{floor_name} is imported by app alone", "\n".join(found))
        self.bad(
            "lproxy.app.service",
            "import lproxy.testing\n",
            "lproxy.testing is for tests and plugin authors; lproxy itself does not import it",
        )
        self.assertIn(
            "which is on the floor of", complaints(Source("lproxy.metrics", HEAD + "import lproxy.plugins"))[0]
        )

    def test_no_floor(self) -> None:
        """A new module at the top has to be given its floor."""
        found = complaints(Source("lproxy.util", HEAD))
        self.assertIn("lproxy.util is on no floor", "\n".join(found))

    def test_values(self) -> None:
        """A value needs nothing installed."""
        message = "a value imports twisted.python.failure; values are Python's own library alone"
        self.bad("lproxy.config", "import twisted.python.failure\n", message)
        self.bad(
            "lproxy.verdict", "import zope.interface\n", message.replace("twisted.python.failure", "zope.interface")
        )

    def test_sans_io(self) -> None:
        """Detectors, codecs and layers have no way to the network or to a clock of their own."""
        tail = "; it takes bytes and gives answers, and nothing else"
        for file in ("http.detect", "http.head", "http.h1.read", "http.h2.frames", "kafka.codec.versions"):
            for name in ("time", "twisted.internet.defer", "lproxy.transport.relay", "lproxy.stack.lock", "lproxy.api"):
                self.bad(f"lproxy.protocols.{file}", f"import {name}\n", f"a detector or codec imports {name}{tail}")
        self.bad("lproxy.stack.timeout", "import time\n", "the stack imports time; its clock is an argument")
        self.bad(
            "lproxy.stack.timeout",
            "from twisted.internet import endpoints\n",
            "the stack imports twisted.internet.endpoints; "
            "of twisted.internet it may use defer, task, interfaces, error",
        )

    def test_rooms(self) -> None:
        """HTTP does not know Kafka."""
        self.bad(
            "lproxy.protocols.http.session",
            "from lproxy.protocols.tcp import factory\n",
            "the protocol http imports lproxy.protocols.tcp.factory",
        )
        self.good("lproxy.protocols.http.factory", "from lproxy.protocols.runtime import Runtime\n")
        self.bad(
            "lproxy.protocols.runtime",
            "from lproxy.protocols.http import factory\n",
            "common imports lproxy.protocols.http.factory, which is on the floor of protocols",
        )

    def test_api(self) -> None:
        """The front door shows what is common to all protocols; protocols come in by it, detectors need no door."""
        self.good("lproxy.api", "from lproxy.protocols.session import Session\nfrom lproxy.transport.stream import X\n")
        self.good("lproxy.protocols.kafka.session", "from lproxy.api import Session\n")
        self.good("lproxy.protocols.kafka.codec.wire", "from lproxy.verdict import Match\n")
        self.good("lproxy.api", "from lproxy.protocols.tcp.session import TcpSession\n")
        self.good(
            "lproxy.protocols.tcp.plugin", "from lproxy.api import Runtime\nimport lproxy.protocols.tcp.session\n"
        )
        self.bad(
            "lproxy.api",
            "from lproxy.protocols.http.client import Client\n",
            "api imports lproxy.protocols.http.client.Client, which is on the floor of protocols",
        )
        self.bad(
            "lproxy.protocols.tcp.session",
            "from lproxy.api import Session\n",
            "tcp imports lproxy.api.Session, which is on the floor of api",
        )
        self.bad(
            "lproxy.protocols.session",
            "from lproxy import api\n",
            "common imports lproxy.api, which is on the floor of api",
        )

    def test_world(self) -> None:
        """The reactor and the environment come in at the top alone."""
        reactor = "imports the reactor; only tap and cli do, the others are handed it"
        for text in ("from twisted.internet import reactor", "import twisted.internet.reactor"):
            self.bad("lproxy.app.service", f"def f():\n    {text}\n", reactor)
            self.good("lproxy.cli", f"def f():\n    {text}\n")
        message = "reads os.environ; only tap and cli read the environment"
        self.bad("lproxy.app.service", "import os\nx = os.environ.get('X')\n", message)
        self.bad(
            "lproxy.config",
            "from os import getenv\n",
            "imports os.getenv; only tap and cli read the environment",
        )

    def test_one_home(self) -> None:
        """Sockets, OpenSSL, Prometheus and llhttp each have one place."""
        for name in ("socket", "OpenSSL.SSL", "select", "twisted.internet.tcp", "ssl"):
            self.bad(
                "lproxy.admin.pages", f"import {name}\n", f"imports {name}; only transport touches sockets and OpenSSL"
            )
            self.good("lproxy.transport.listen", f"import {name}\n")
        self.good("lproxy.identity.contexts", "from OpenSSL import SSL\n")
        self.bad("lproxy.identity.x", "import socket\n", "imports socket; only transport touches sockets and OpenSSL")
        self.bad("lproxy.admin.pages", "import prometheus_client\n", "imports prometheus_client; only metrics does")
        self.bad("lproxy.protocols.tcp.x", "import httptools\n", "imports httptools; only the HTTP room does")

    def test_outsiders(self) -> None:
        """lproxy runs where neither tests nor benchmark are."""
        self.bad("lproxy.app.demo", "from tests import helper\n", "lproxy imports tests.helper")
        self.bad("lproxy.app.demo", "import benchmark\n", "lproxy imports benchmark")

    def test_camel_case(self) -> None:
        """A camelCase name is a promise that Twisted calls it."""
        self.good("lproxy.app.x", "class A:\n    def dataReceived(self, data): pass\n    def __init__(self): pass\n")
        self.good("lproxy.tap", "def makeService(options): pass\n")
        self.bad(
            "lproxy.app.x",
            "def makeService(options): pass\n",
            "camelCase function makeService: only methods that Twisted or zope call are",
        )
        self.bad(
            "lproxy.app.x",
            "class A:\n  def f(self):\n    async def onDone(): pass\n",
            "camelCase function onDone: only methods that Twisted or zope call are",
        )
        self.bad(
            "lproxy.protocols.http.h1.head",
            "class A:\n    def dataReceived(self): pass\n",
            "camelCase dataReceived in a detector or codec, which Twisted never calls",
        )

    def test_explained(self) -> None:
        """A warning without its parts has empty cells on the page."""
        message = "warns without a layer, a target and a cause (lproxy.errors.Failed)"
        self.bad("lproxy.app.listener", 'runtime.warn("kind", "text")\n', message)
        self.bad("lproxy.protocols.kafka.session", 'self._runtime.warn("kind", f"{1}")\n', message)
        self.good("lproxy.app.listener", 'runtime.warn("kind", "text", parts)\n')
        self.good("lproxy.profiles.gateway", 'field.warn("wrong", "right")\n')

    def test_test_case_name(self) -> None:
        """A file leads to its tests, and a name that leads nowhere is refused."""
        module = "lproxy.app.x"
        wrong = f"{module}:1: does not begin with # -*- test-case-name: tests.x.test_y -*-"
        for text in ("", '"""Doc."""\n', "\n" + HEAD, "# -*- test-case-name: lproxy.tests -*-\n"):
            self.assertEqual([wrong], complaints(Source(module, text)))
        self.assertEqual(
            [f"{module}:1: names tests.test_nothing, which does not exist"],
            complaints(Source(module, "# -*- test-case-name: tests.test_floors, tests.test_nothing -*-\n")),
        )
        self.assertEqual([], complaints(Source("lproxy.app", "", is_package=True)))

    def test_size(self) -> None:
        """A long file explains itself, a very long one is split."""
        module = "lproxy.app.x"
        reason = HEAD.replace("Doc.", "Doc.\n\nOver 300 lines: the table belongs to its rows.\n")
        self.assertEqual([], complaints(Source(module, HEAD + "x = 1\n" * 298)))
        self.assertIn("has 301 lines, and no sentence", complaints(Source(module, HEAD + "x = 1\n" * 299))[0])
        self.assertEqual([], complaints(Source(module, reason + "x = 1\n" * 299)))
        self.assertIn("over 500 is split", complaints(Source(module, reason + "x = 1\n" * 499))[0])


class HouseRuleTests(SynchronousTestCase):
    """The rules that need all files at once see what they are there to see."""

    def files(self, *bodies: str) -> list[Source]:
        """Modules C{lproxy.a}, C{lproxy.b}, ... with these bodies."""
        return [Source(f"lproxy.{name}", body) for name, body in zip("abcde", bodies, strict=False)]

    def test_circle(self) -> None:
        """Modules that import each other by way of whatever others are refused together, however it is written."""

        def said(*bodies: str) -> list[str]:
            return [
                line.removeprefix("these import each other, in a circle: ") for line in circles(self.files(*bodies))
            ]

        back = "if TYPE_CHECKING:\n    from .a import X"
        self.assertEqual([], said("import lproxy.b", "import lproxy.c", "import os"))
        self.assertEqual(["lproxy.a, lproxy.b"], said("import lproxy.b", "from lproxy.a import x"))
        self.assertEqual(["lproxy.a, lproxy.b, lproxy.c"], said("import lproxy.b", "def f():\n from . import c", back))

    def test_circles_apart(self) -> None:
        """What only leads to a circle, or away from it, is no part of it."""
        files = self.files(
            "from . import b", "from . import c", "from . import b, d", "from . import e", "from . import d"
        )
        found = components(edges(files))
        self.assertEqual({frozenset({"lproxy.b", "lproxy.c"}), frozenset({"lproxy.d", "lproxy.e"})}, found)

    def test_lookup(self) -> None:
        """An attribute that a class of ours has is not looked up by its name, with or without a default."""
        ours = "class A:\n    idle: int = 3\n    bare = 1\n    def drain(self): self.seen = self.all.deep = 2\n"
        for name in ("idle", "bare", "drain", "seen"):
            for call in (f"getattr(x, '{name}')", f"getattr(x.y, '{name}', 3)", f"hasattr(x, '{name}')"):
                (line,) = lookups(self.files(ours, f"import os\n{call}\n"))
                self.assertEqual(
                    f"lproxy.b:2: looks up '{name}' by name; what somebody needs stands in an interface", line
                )

    def test_others_names(self) -> None:
        """Names that are nobody's of ours, modules of others and computed names are looked up freely."""
        ours = "class A:\n    def splice(self): self.seen.deep = __slots__ = 2\n"
        for call in ("getattr(x, 'deep')", "hasattr(os, 'splice')", "getattr(x, key)", "getattr(x, '__slots__', ())"):
            self.assertEqual([], list(lookups(self.files(ours, f"import os\n{call}\n"))))

    def test_back_doors(self) -> None:
        """What the front door shows comes in by it, but for values, and for a protocol's own."""
        api = (
            "from lproxy.stack.lock import Lock\nfrom lproxy.target import Target\n"
            "from lproxy.protocols.session import Session\nfrom lproxy.protocols.tcp.session import TcpSession\n"
        )

        def said(module: str, body: str) -> list[str]:
            return list(back_doors([Source("lproxy.api", api), Source(module, body)]))

        module = "lproxy.protocols.http.factory"
        for name in (
            "lproxy.stack.lock.Lock",
            "lproxy.protocols.session.Session",
            "lproxy.protocols.tcp.session.TcpSession",
        ):
            home, _, one = name.rpartition(".")
            (line,) = said(module, f"import os\nfrom {home} import {one}\n")
            self.assertEqual(f"{module}:2: imports {name} by the back door; lproxy.api has it", line)
        for body in (
            "from lproxy.api import Lock, Session",
            "from lproxy.target import Target",
            "import lproxy.stack.lock",
        ):
            self.assertEqual([], said(module, body))
        self.assertEqual([], said("lproxy.protocols.http.head", "from lproxy.stack.lock import Lock"))
        self.assertEqual([], said("lproxy.protocols.tcp.plugin", "from lproxy.protocols.tcp.session import TcpSession"))
        self.assertEqual([], said("lproxy.protocols.runtime", "from lproxy.protocols.session import Session"))

    def test_without_tests(self) -> None:
        """A file leads to the test file of its own name, and may lead to others besides."""

        def said(module: str, names: str, is_package: bool = False) -> list[str]:
            return list(without_tests([Source(module, f"# -*- test-case-name: {names} -*-\n", is_package)]))

        self.assertEqual([], said("lproxy.stack.lock", "tests.stack.test_lock"))
        self.assertEqual([], said("lproxy.stack.lock", "tests.stack.test_whole, tests.stack.test_lock"))
        self.assertEqual([], said("lproxy.__main__", "tests.test_main"))
        self.assertEqual([], said("lproxy.stack", "tests.stack", is_package=True))
        for names in ("tests.stack", "tests.stack.test_locks", "tests.test_lock"):
            self.assertEqual(
                ["lproxy.stack.lock: its tests are not tests.stack.test_lock"], said("lproxy.stack.lock", names)
            )
