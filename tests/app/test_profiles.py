# -*- test-case-name: tests.app.test_profiles -*-
"""
Profiles as protocols ask for them.
"""

from __future__ import annotations

import os
from pathlib import Path

from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.profiles import INTERVAL, LINES, SOON, LiveProfiles, Shelf, problems
from lproxy.app.slices import PAUSE, SLICE
from lproxy.config import Config, Listen, ProfileFiles, Service
from lproxy.configfile.collector import at_once
from lproxy.discover.memory import Memory
from lproxy.discover.static import Static
from lproxy.metrics.profiles import ProfileFiles as Counter
from lproxy.profile import Profile, Route
from lproxy.target import Authority, OriginalDst, ServiceName, Target
from tests.profiles.case import HTTP, SP

PROFILE = Profile((Route("a"),))
ROUTES = "  routes: [{name: a, condition: {method: GET}}]\n"
WEB = Authority("web.shop", 80)


class LiveProfilesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.counter, self.shelf = Counter(), Shelf()
        self.said: list[str] = []
        self.failed: list[Failure] = []
        self.file = Path(self.mktemp())
        self.turns = 0
        self.write(SP + ROUTES)
        self.profiles = self.made()

    def made(self, services: dict[str, Service] | None = None) -> LiveProfiles:
        services = services or {}
        config = Config(services=services, profiles=ProfileFiles((str(self.file),)))
        return LiveProfiles(
            config,
            Static(services, Memory()),
            self.shelf,
            self.clock,
            self.counter,
            self.said.append,
            lambda kind, text, parts: self.said.append(text),
            self.failed.append,
            lambda: 1000.0 + self.clock.seconds(),
        )

    def start(self) -> None:
        """Read, and begin."""
        at_once(self.profiles.read())
        self.profiles.start()

    def write(self, text: str) -> None:
        self.file.write_text(text)
        self.turns += 1
        os.utime(self.file, ns=(self.turns, self.turns))

    def wait(self) -> None:
        """Until what was written is read."""
        self.clock.pump([INTERVAL, *[SOON] * 4])

    def names(self, target: Target = WEB) -> list[str] | None:
        profile = self.profiles.of(target)
        return None if profile is None else [route.name for route in profile.routes]

    def test_configured(self) -> None:
        """A service's own profile is that of its authority and of its name, and comes before those of files."""
        services = {
            "web.shop:80": Service(name="web.shop:80", profile=PROFILE),
            "app": Service(name="app", profile=PROFILE),
            "plain:80": Service(name="plain:80"),
        }
        self.write(SP + ROUTES.replace("name: a", "name: file"))
        self.profiles = self.made(services)
        self.start()
        for target in (WEB, Authority("WEB.shop", 80), ServiceName("web.shop:80"), ServiceName("app")):
            self.assertIs(PROFILE, self.profiles.of(target))
        self.assertEqual(["file"], self.names(Authority("web.shop", 81)))
        for other in (Authority("plain", 80), Authority("else", 80), OriginalDst("10.0.0.1", 80)):
            self.assertIsNone(self.profiles.of(other))
        self.profiles.stop()

    def test_of_files(self) -> None:
        """A file's profile is that of the service's authorities, and of a service of the configuration named like "
        "it."""
        self.profiles = self.made({"web.shop.svc:80": Service(name="web.shop.svc:80")})
        self.start()
        for target in (WEB, Authority("Web.Shop", 8080), ServiceName("web.shop.svc:80"), ServiceName("web")):
            self.assertEqual(["a"], self.names(target), target)
        self.assertEqual([f"profiles: {self.file} is in use"], self.said)
        self.profiles.stop()
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_odd(self) -> None:
        """What of a file in use has no effect is in the log as well, the first of it and how much more there is."""
        mirror = "{type: RequestMirror, requestMirror: {backendRef: {name: m, port: 80}}}"
        self.write(f"{HTTP}  rules:\n  - filters: [{mirror}]\n  - filters: [{mirror}]\n")
        self.start()
        warning = f"{self.file}:9: warning: spec.rules[0].filters[0]: is left out: lproxy mirrors no requests"
        self.assertEqual([f"profiles: {self.file} is in use; {warning} (and 1 more)"], self.said)
        self.profiles.stop()

    def test_changes(self) -> None:
        """What changes is used within about a second, and whoever watches is told; not any more once it has stopped."""
        told: list[str] = []
        self.start()
        stop = self.profiles.watch(lambda: told.append("first"))
        self.profiles.watch(lambda: told.append("second"))
        self.write(SP + ROUTES.replace("name: a", "name: b"))
        self.clock.pump([INTERVAL, SOON, 0, 0])
        self.assertEqual((["b"], ["first", "second"]), (self.names(), told))
        stop()
        stop()
        self.write(SP + ROUTES)
        self.wait()
        self.assertEqual((["a"], ["first", "second", "second"]), (self.names(), told))
        self.assertEqual([], self.failed)
        self.profiles.stop()

    def test_wrong(self) -> None:
        """What is wrong is told in the log, in metrics and on /services, once; what was before still holds."""
        self.start()
        self.said.clear()
        told: list[str] = []
        self.profiles.watch(lambda: told.append("changed"))
        self.write(SP + "  rotues: []\n  routs: []\n")
        for _ in range(3):
            self.wait()
        self.assertEqual(["a"], self.names())
        self.assertEqual(1, len(self.said))
        self.assertIn('did you mean "routes"? (and 1 more); what it said before still holds', self.said[0])
        self.assertIn(f"{self.file}:7: spec.ro", self.said[0])
        samples = {(f.name, *labels): value for f in self.counter.families() for labels, value in f.samples}
        self.assertEqual(1, samples["profile_reload_total", ("outcome", "refused")])
        self.assertEqual(1, samples["profile_files", ("state", "refused")])
        self.assertEqual(1, samples["profile_files", ("state", "used")])
        self.assertEqual(1000.0, samples["profile_last_success_timestamp_seconds",])
        (row,) = self.profiles.refused()
        self.assertEqual((str(self.file), "refused"), (row["target"], row["state"]))
        self.assertIn('did you mean "routes"?', row["last_error"])
        self.profiles.stop()

    def test_never_right(self) -> None:
        """A file that is wrong from the start keeps nobody from starting; it says nothing until it is right."""
        self.write("a: b: c")
        self.start()
        self.assertIn("it says nothing until then", self.said[0])
        self.assertIsNone(self.names())
        self.write(SP + ROUTES)
        self.wait()
        self.assertEqual((["a"], []), (self.names(), self.profiles.refused()))
        self.profiles.stop()

    def test_restless(self) -> None:
        """A file that is written to all the time is not read, and that is told."""
        self.start()
        self.said.clear()
        for _ in range(20):
            self.write(SP + "  routes: []\n")
            self.clock.advance(SOON)
            self.assertEqual(["a"], self.names())
        wrong = f"profiles: {self.file} is written to without a pause, and is not read; what it said before still holds"
        self.assertEqual({wrong}, set(self.said))
        self.wait()
        self.assertEqual([], self.names())
        self.profiles.stop()

    def test_described(self) -> None:
        """What /services shows of a target's profile."""
        self.write(SP + ROUTES + "  dstOverrides: [{authority: v1.shop, weight: 1}]\n")
        self.start()
        source = f"ServiceProfile web.shop.svc.cluster.local ({self.file})"
        self.assertEqual({"source": source, "routes": 1, "backends": {"v1.shop:80": 1}}, self.profiles.describe(WEB))
        self.assertIsNone(self.profiles.describe(Authority("else", 80)))
        self.profiles.stop()

    def test_opaque(self) -> None:
        """Where a connection goes is known to be opaque by its target, or by who is at the address it was going to."""
        self.write(SP + "  opaquePorts: ['3306', '25']\n")
        services = {
            "web.shop:3306": Service(name="web.shop:3306", endpoints=("10.0.0.1:3307", "10.0.0.2:25")),
            "mail:25": Service(name="mail:25", profile=Profile(opaque_ports=frozenset((25,)))),
        }
        self.profiles = self.made(services)
        self.assertTrue(self.profiles.any_opaque)
        self.start()
        opaque = [
            *(
                Authority("web.shop", 3306),
                Authority("web.shop", 25),
                ServiceName("web.shop:3306"),
                ServiceName("mail:25"),
            ),
            *(OriginalDst("10.0.0.1", 3307), OriginalDst("10.0.0.2", 25)),
        ]
        detected = [WEB, Authority("else", 3306), OriginalDst("10.0.0.3", 3306), ServiceName("else")]
        self.assertEqual([], [target for target in opaque if not self.profiles.opaque(target)])
        self.assertEqual([], [target for target in detected if self.profiles.opaque(target)])
        self.profiles.stop()

    def test_reload(self) -> None:
        """SIGHUP looks now; the next configuration takes over what was read."""
        self.start()
        self.write(SP + ROUTES.replace("name: a", "name: b"))
        for _ in range(2):
            self.profiles.reload()
        self.assertEqual(["b"], self.names())
        before = self.profiles.of(WEB)
        self.profiles.stop()
        self.profiles = self.made()
        self.start()
        self.assertIs(before, self.profiles.of(WEB))
        self.profiles.stop()
        self.profiles.reload()
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_large(self) -> None:
        """While a large file is read, others have their turns; what was before holds until it is over."""
        self.start()
        many = "---\n".join((SP + ROUTES).replace("web.", f"web{n}.") for n in range(20))
        self.write(f"{many}---\n{SP}{ROUTES.replace('name: a', 'name: b')}")
        ticks = iter(range(1, 10_000))
        self.patch(self.clock, "seconds", lambda: self.clock.rightNow + next(ticks) * SLICE)
        self.clock.pump([INTERVAL, SOON])
        turns = 0
        while self.names() == ["a"]:
            self.clock.pump([PAUSE])
            turns += 1
        self.assertEqual(["b"], self.names())
        self.assertGreater(turns, 10)
        self.profiles.stop()

    def test_many(self) -> None:
        """Of thousands of files, the log has the first that have changed, and how many there are more."""
        self.file.unlink()
        self.file.mkdir()
        for n in range(LINES + 3):
            (self.file / f"{n}.yaml").write_text((SP + ROUTES).replace("web.", f"web{n}."))
        self.start()
        self.assertEqual(LINES + 1, len(self.said))
        self.assertEqual("profiles: and 3 files more, in use or gone", self.said[-1])
        self.said.clear()
        self.profiles.stop()
        self.profiles = self.made()
        self.start()
        self.assertEqual([], self.said)
        self.profiles.stop()

    def test_contained(self) -> None:
        """What fails, at whoever is told or while files are read, keeps nobody else from anything."""
        told: list[str] = []

        def fail() -> None:
            raise RuntimeError("a watcher's")

        self.start()
        self.profiles.watch(fail)
        self.profiles.watch(lambda: told.append("changed"))
        self.write(SP + ROUTES.replace("name: a", "name: b"))
        self.wait()
        self.assertEqual((["changed"], 1), (told, len(self.failed)))

        def broken(insist: bool = False) -> None:
            raise RuntimeError("ours")
            yield

        self.patch(self.profiles._library, "look", broken)
        self.wait()
        self.assertGreater(len(self.failed), 1)
        self.assertEqual(["b"], self.names())
        self.profiles.stop()

    def test_unknown_opaque(self) -> None:
        """Opaque ports of which nothing can be known in time are told of."""
        self.write(SP + "  opaquePorts: ['3306']\n")
        files = ProfileFiles((str(self.file),))
        (problem,) = problems(Config(profiles=files))
        self.assertIn(
            f"{self.file}:1: warning: ServiceProfile web.shop.svc.cluster.local: opaquePorts are not looked",
            str(problem),
        )
        service = Service(name="web.shop:3306", endpoints=("10.0.0.1:3306",))
        self.assertEqual([], problems(Config(profiles=files, services={service.name: service})))
        listen = Listen(name="db", address="127.0.0.1:0", target="web.shop:3306")
        self.assertEqual([], problems(Config(profiles=files, listen=(listen,))))

    def test_problems(self) -> None:
        """What lproxy check says of them."""
        self.write(SP + "  rotues: []\n")
        (problem,) = problems(Config(profiles=ProfileFiles((str(self.file),))))
        self.assertEqual(f'{self.file}:7: spec.rotues: unknown field; did you mean "routes"?', str(problem))
