# -*- test-case-name: tests.app.test_identities -*-
"""
Tests for L{lproxy.app.identities}.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from lproxy.app.identities import INTERVAL, Identities, wall_clock
from lproxy.app.slices import PAUSE, SLICE
from lproxy.config import Identity
from lproxy.configfile.collector import at_once
from lproxy.identity.rotation import Change
from lproxy.identity.store import OWN, Store
from lproxy.metrics.certificates import Certificates
from lproxy.testing.certificates import authority

SHOP = authority()
WEB = "web.shop.mesh"


class IdentitiesTests(SynchronousTestCase):
    """Files that change while we run."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.clock = Clock()
        self.later = timedelta()
        self.metrics = Certificates()
        self.said: list[str] = []
        self.warned: list[str] = []
        self.kinds: list[str] = []
        self.first = self.issue()
        own = Identity(*(str(self.folder / name) for name in ("trust.pem", "own.pem", "own.key")))
        self.store = Store(own, self.now)
        self.identities = Identities(
            self.store,
            self.clock,
            self.metrics,
            self.said.append,
            self.warn,
            self.now,
        )

    def warn(self, kind: str, text: str, parts: object = None, /) -> None:
        """What the rate-limited log is given."""
        self.kinds.append(kind)
        self.warned.append(text)

    def now(self) -> datetime:
        """The time of day, as far as the test has moved it on."""
        return datetime.now(UTC) + self.later

    def issue(self, lasts: timedelta = timedelta(days=1)) -> str:
        """Write a certificate for us; its serial number."""
        leaf = SHOP.issue(WEB, lasts=lasts)
        leaf.write(self.folder, "own")
        return f"{leaf.certificate.serial_number:x}"

    def counted(self) -> dict[str, object]:
        """The families' samples, by name."""
        return {family.name: list(family.samples) for family in self.metrics.families()}

    def start(self) -> None:
        """As an assembly does."""
        self.assertEqual([], at_once(self.identities.load()))
        self.identities.start()
        self.addCleanup(self.identities.stop)

    def test_start(self) -> None:
        """What is in use is counted from the beginning, and nothing has to be said."""
        self.start()
        ((labels, expires),) = self.counted()["identity_cert_expiration_timestamp_seconds"]  # type: ignore[misc]
        self.assertEqual((("certificate", OWN),), labels)
        self.assertLess(abs((self.now() + timedelta(days=1)).timestamp() - expires), 60)
        self.assertEqual(([], []), (self.said, self.warned))

    def test_bad_start(self) -> None:
        """What is not good at the start is told to whoever starts it."""
        self.issue(lasts=timedelta(seconds=-1))
        (error,) = at_once(self.identities.load())
        self.assertEqual("expired", error.reason)

    def test_refreshed(self) -> None:
        """A new one is in use at the next look, said and counted."""
        self.start()
        second = self.issue()
        self.clock.advance(INTERVAL)
        self.assertIn(f"(serial {second}) is in use, until ", self.said[0])
        self.assertEqual([((("certificate", OWN),), 2)], self.counted()["identity_cert_refresh_total"])
        self.clock.advance(INTERVAL)
        self.assertEqual(1, len(self.said))

    def test_refused(self) -> None:
        """A bad one is warned of and counted once, and the old one stays."""
        self.start()
        self.issue(lasts=timedelta(seconds=-1))
        self.clock.pump([INTERVAL] * 4)
        (warning,) = self.warned
        self.assertIn("has expired", warning)
        self.assertIn("what was in use before still is", warning)
        reasons = self.counted()["identity_cert_refresh_refused_total"]
        self.assertEqual([((("certificate", OWN), ("reason", "expired")), 1)], reasons)
        ((_, one),) = self.store.materials()
        self.assertEqual(self.first, one.serial)

    def test_refused_again(self) -> None:
        """Each mistake is a kind of its own in the log, or the second would be held back with the first."""
        self.start()
        (self.folder / "own.pem").write_bytes(b"")
        self.identities.reload()
        self.issue(lasts=timedelta(seconds=-1))
        self.identities.reload()
        self.assertIn("is empty", self.warned[0])
        self.assertIn("has expired", self.warned[1])
        self.assertEqual(2, len(set(self.kinds)))

    def test_reload(self) -> None:
        """Who asks is answered at once."""
        self.start()
        (self.folder / "own.key").write_bytes(b"")
        self.identities.reload()
        self.assertIn("own.key: is empty", self.warned[0])

    def many(self, files: int) -> None:
        """So many certificates of a listener; and from now on whatever is done takes its time."""
        for n in range(files):
            leaf = SHOP.issue(f"n{n}.test")
            (self.folder / "many").mkdir(exist_ok=True)
            file = self.folder / "many" / f"n{n}.pem"
            file.touch(0o600)
            file.write_bytes(leaf.chain_pem + leaf.key_pem)
        self.store.listener((str(self.folder / "many"),))
        self.start()
        ticks = iter(range(1, 1_000_000))
        self.patch(self.clock, "seconds", lambda: self.clock.rightNow + next(ticks) * SLICE / 4)

    def turns(self, done: Callable[[], object]) -> int:
        """How often it goes on before C{done}."""
        turns = 0
        while not done():
            self.clock.pump([PAUSE])
            turns += 1
        return turns

    def test_slices(self) -> None:
        """However many there are, they are looked at a few at a time; it ends in the middle where it is to end."""
        self.many(20)
        second = self.issue()
        self.clock.pump([INTERVAL])
        self.assertEqual([], self.said)
        self.assertGreater(self.turns(lambda: self.said), 3)
        self.assertIn(second, self.said[0])
        self.turns(lambda: "_look" in str(self.clock.getDelayedCalls()))
        self.clock.pump([INTERVAL])
        self.identities.stop()
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_reload_meanwhile(self) -> None:
        """Whoever asks while they are looked at is told when they have been looked at once more."""
        self.many(10)
        (self.folder / "own.key").write_bytes(b"")
        self.clock.pump([INTERVAL])
        self.assertEqual([], self.warned)
        for _ in range(2):
            self.identities.reload()
        self.turns(lambda: self.warned)
        self.assertIn("own.key: is empty", self.warned[0])
        self.turns(lambda: "_look" in str(self.clock.getDelayedCalls()))
        self.assertEqual(1, len(self.warned))

    def test_unexpected(self) -> None:
        """What nobody expects is logged, and they are looked at again."""
        self.start()

        def look(insist: bool = False) -> Generator[None, None, list[Change]]:
            yield
            raise ZeroDivisionError

        self.patch(self.store, "look", look)
        self.clock.pump([INTERVAL] * 2)
        self.assertEqual(2, len(self.flushLoggedErrors(ZeroDivisionError)))

    def test_not_running(self) -> None:
        """Before it has begun and after its end, nothing is looked at."""
        self.identities.reload()
        self.identities.stop()
        self.assertEqual([], self.clock.getDelayedCalls())
        self.start()
        self.identities.stop()
        self.identities.reload()
        self.assertEqual(([], []), (self.clock.getDelayedCalls(), self.warned))

    def test_anchors(self) -> None:
        """New anchors are said as well, though certificates are the same."""
        self.start()
        (self.folder / "trust.pem").write_bytes(SHOP.pem + authority("next").pem)
        self.clock.advance(INTERVAL)
        self.assertEqual(1, len(self.said))

    def test_age(self) -> None:
        """From the last third of its life on, each stage is warned of once; a new one ends that."""
        self.start()
        for hours, word in ((17, "last third"), (22, "about to expire"), (25, "has expired")):
            self.later = timedelta(hours=hours)
            self.clock.pump([INTERVAL] * 3)
            self.assertIn(word, self.warned.pop())
            self.assertEqual([], self.warned)
        self.issue(lasts=timedelta(days=30))
        self.clock.advance(INTERVAL)
        self.assertEqual([], self.warned)

    def test_odd(self) -> None:
        """A key that everybody may read is warned of once."""
        (self.folder / "own.key").chmod(0o644)
        self.start()
        self.clock.pump([INTERVAL] * 3)
        (warning,) = self.warned
        self.assertIn("everybody on this machine may read it", warning)

    def test_wall_clock(self) -> None:
        """Certificates go by the time of day, in UTC."""
        self.assertEqual(timedelta(), wall_clock().utcoffset())
