# -*- test-case-name: tests.test_tap -*-
"""
Tests for L{lproxy.tap}: from the command line to an application service. Real processes are in
L{tests.integration.test_twistd}.
"""

from __future__ import annotations

import gc
import io
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from twisted.application.service import IService
from twisted.logger import LogLevel
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from lproxy import tap
from lproxy.app import log as log_module
from lproxy.app import oneline, running
from lproxy.app.plugins import Found, find
from lproxy.app.process import alone
from lproxy.app.service import CannotStart, Proxy
from lproxy.build import version
from lproxy.config import Config
from lproxy.transport.notify import Notify
from tests.floors_source import ROOT

GOOD = '[timeouts]\nacquire = "2s"\n'
WARNS = '[services."idle.local:80"]\nendpoints = []\n'
BAD = "[limits]\nin_flght = 3\n"


class TapTestCase(SynchronousTestCase):
    """Tests that write a file and read what is printed."""

    def setUp(self) -> None:
        self.out, self.err = io.StringIO(), io.StringIO()
        self.patch(sys, "stdout", self.out)
        self.patch(sys, "stderr", self.err)
        self.patch(tap.os, "environ", {})
        self.patch(log_module.log, "threshold", LogLevel.info)

    def file(self, text: str) -> str:
        """A configuration file."""
        path = Path(self.mktemp())
        path.write_text(text)
        return str(path)


class OptionsTests(TapTestCase):
    """What stands behind lproxy on twistd's command line."""

    def parse(self, *arguments: str) -> tap.Options:
        options = tap.Options()
        options.parseOptions(list(arguments))
        return options

    def status(self, *arguments: str) -> Any:
        """The status that it exits with."""
        return self.assertRaises(SystemExit, self.parse, *arguments).code

    def test_defaults(self) -> None:
        """Without a file the embedded defaults are what runs, and nothing is said."""
        options = self.parse()
        want = Config()
        self.assertEqual(
            (want.admin, want.limits, want.outbound),
            (options.config.admin, options.config.limits, options.config.outbound),
        )
        self.assertEqual([one.address for one in want.listen], [one.address for one in options.config.listen])
        self.assertEqual({"http", "kafka", "tcp"}, {one.name for one in options.found})
        self.assertEqual(("", ""), (self.out.getvalue(), self.err.getvalue()))

    def test_version(self) -> None:
        """C{--version} says which lproxy it is, compiled or not, and which Twisted."""
        self.assertIn(self.status("--version"), (None, 0))
        ours, theirs = self.out.getvalue().splitlines()
        self.assertEqual(f"lproxy {version()}", ours)
        self.assertTrue(theirs.startswith("Twisted version: "), theirs)

    def test_file(self) -> None:
        """C{--config} and C{-c} name a file."""
        path = self.file(GOOD)
        for option in ("--config", "-c"):
            self.assertEqual(2.0, self.parse(option, path).config.outbound.acquire)

    def test_read_once(self) -> None:
        """What can be read but once, as what a shell writes into a pipe, is read once; it cannot be read anew."""
        path = self.mktemp()
        os.mkfifo(path)
        writer = threading.Thread(target=Path(path).write_text, args=(GOOD,))
        writer.start()
        options = self.parse("-c", path)
        writer.join()
        self.assertEqual((2.0, GOOD.encode()), (options.config.outbound.acquire, options.text))
        source = options.source()
        assert source is not None
        loaded = source.read()
        self.assertIsNone(loaded.config)
        self.assertIn("cannot be read: it is no regular file", str(loaded.problems[0]))

    def test_warnings_start(self) -> None:
        """A file with warnings is run, and they are told."""
        path = self.file(WARNS)
        self.assertIn("idle.local:80", self.parse("-c", path).config.services)
        self.assertIn(f"{path}:1: ", self.err.getvalue())

    def test_errors_do_not(self) -> None:
        """One with errors ends the start with status 2; they are on standard error, without pages of options."""
        path = self.file(BAD)
        self.assertEqual(2, self.status("-c", path))
        first, last = self.err.getvalue().splitlines()
        self.assertEqual(f'{path}:2: limits.in_flght: unknown key; did you mean "in_flight"?', first)
        self.assertEqual(f"lproxy: {path}: not started", last)
        self.assertEqual("", self.out.getvalue())

    def test_check(self) -> None:
        """C{--check} never starts: 0 and a word, 1 for warnings, 2 for errors."""
        for text, want in ((GOOD, 0), (WARNS, 1), (BAD, 2)):
            self.assertEqual(want, self.status("--check", "-c", self.file(text)))
        self.assertTrue(self.out.getvalue().endswith(": no problem found\n"))
        self.assertEqual(1, self.out.getvalue().count("\n"))
        self.assertNotIn("not started", self.err.getvalue())

    def test_check_defaults(self) -> None:
        """Without a file the defaults are checked."""
        self.assertEqual(0, self.status("--check"))
        self.assertEqual("defaults: no problem found\n", self.out.getvalue())

    def test_unknown_option(self) -> None:
        """Any other option is a usage error, as for any Twisted application."""
        self.assertRaises(usage.UsageError, self.parse, "--port=80")

    def test_level(self) -> None:
        """LPROXY_LOG sets the level of the proxy's own lines; a wrong one is told, and ends the start with status 1."""
        self.patch(tap.os, "environ", {"LPROXY_LOG": "Debug"})
        self.parse()
        self.assertIs(LogLevel.debug, log_module.log.threshold)
        self.patch(tap.os, "environ", {"LPROXY_LOG": "loud"})
        self.assertEqual(1, self.status())
        self.assertEqual(
            "lproxy: LPROXY_LOG: 'loud' is no log level; there are debug, info, warn, error, critical\n",
            self.err.getvalue(),
        )

    def test_profile_port(self) -> None:
        """C{--profile-port} is off by default, and wants a port."""
        self.assertIsNone(self.parse()["profile-port"])
        self.assertEqual(4192, self.parse("--profile-port", "4192")["profile-port"])
        for wrong in ("x", "65536", "-1", ""):
            self.assertRaises(usage.UsageError, self.parse, f"--profile-port={wrong}")

    def test_check_ignores_level(self) -> None:
        """Whoever checks a file is not troubled with the level."""
        self.patch(tap.os, "environ", {"LPROXY_LOG": "loud"})
        self.assertEqual(0, self.status("--check"))

    def test_broken_plugin(self) -> None:
        """A broken plugin is told and stops nobody."""
        broken = Found("/x/mqtt.py", "mqtt", error="ImportError: no y")
        self.patch(tap, "find", lambda: [*find(), broken])
        options = self.parse()
        self.assertIn(broken, options.found)
        self.assertEqual("lproxy: plugin mqtt is broken: ImportError: no y (/x/mqtt.py)\n", self.err.getvalue())


class FakeTime:
    """As much of a reactor as a proxy needs to be made."""

    def callLater(self, *args: Any) -> None:
        raise AssertionError("nothing is done before it starts")

    def seconds(self) -> float:
        return 0.0

    def callWhenRunning(self, f: Any) -> None:
        """It never does."""


class MakeServiceTests(TapTestCase):
    """What twistd gets."""

    def test_service(self) -> None:
        """An application service named lproxy, with the file's configuration, which has opened nothing."""
        from twisted.internet import reactor

        options = tap.Options()
        options.parseOptions(["-c", self.file(GOOD)])
        waiting: list[Any] = []
        self.patch(reactor, "callWhenRunning", waiting.append)
        service: Any = tap.makeService(options)
        self.assertTrue(IService.providedBy(service))
        self.assertEqual(("lproxy", 2.0), (service.name, service.config.outbound.acquire))
        self.assertEqual("starting", service.ready())
        self.assertEqual({}, service.addresses())
        self.assertEqual(1, len(waiting), "signals are for when it runs")

    def test_profiled(self) -> None:
        """With C{--profile-port} there is a port to profile the proxy by, started before it; else not even its code."""
        from twisted.internet import reactor

        self.patch(reactor, "callWhenRunning", lambda f: None)
        options = tap.Options()
        options.parseOptions(["-c", self.file(GOOD), "--profile-port", "4192"])
        service: Any = tap.makeService(options)
        self.assertTrue(IService.providedBy(service))
        port, proxy = service
        self.assertEqual((4192, "ProfilePort"), (port._number, type(port).__name__))
        self.assertIsInstance(proxy, Proxy)
        self.assertEqual(proxy.shutdown, port._shutdown)

    def test_profile_port_taken(self) -> None:
        """Where the port cannot be had, a line says so, and the proxy does not start."""
        from twisted.application.service import Service

        self.patch(sys, "excepthook", None)

        class Taken(Service):
            def startService(self) -> None:
                raise CannotStart("--profile-port: cannot listen on 127.0.0.1:4192: Address already in use")

        both = running.Profiled()
        proxy = Proxy(Config(), find(), FakeTime())
        for service in (Taken(), proxy):
            service.setServiceParent(both)
        self.assertRaises(CannotStart, both.startService)
        self.assertIs(oneline.cannot_start, sys.excepthook)
        self.assertFalse(proxy.running)

    def test_collector(self) -> None:
        """Once it has started, the collector looks at young objects less often, in this process alone."""
        options = tap.Options()
        options.parseOptions([])
        self.patch(Proxy, "startService", lambda proxy: None)
        called: list[Any] = []
        for name in ("collect", "freeze", "set_threshold"):
            self.patch(gc, name, lambda *args, name=name: called.append(name))
        reactor: Any = FakeTime()
        notify = Notify({}, reactor)
        running.Running(options.config, options.found, reactor, None, alone(reactor), notify).startService()
        self.assertEqual(["collect", "freeze", "set_threshold"], called)


class ImportTests(SynchronousTestCase):
    """What it costs to be asked."""

    def test_no_reactor(self) -> None:
        """Neither the options nor a check install a reactor: C{--reactor} would come too late."""
        program = (
            "import sys; from lproxy import tap, cli; tap.Options; cli.main(['check', sys.argv[1]]); "
            "sys.exit('twisted.internet.reactor' in sys.modules)"
        )
        path = Path(self.mktemp()).absolute()
        path.write_text(GOOD)
        done = subprocess.run(
            [sys.executable, "-c", program, path], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        self.assertEqual((0, ""), (done.returncode, done.stderr))
