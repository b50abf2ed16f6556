# -*- test-case-name: tests.identity.test_rotation -*-
"""
Tests for L{lproxy.identity.rotation}.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lproxy.identity.pem import MaterialError
from lproxy.identity.rotation import EXPIRED, LAST_TENTH, LAST_THIRD, Source, stage, stamps
from lproxy.testing.certificates import authority
from tests.identity.handshake import material

NOW = datetime(2026, 11, 30, tzinfo=UTC)


class StampTests(SynchronousTestCase):
    """Whatever way a file is replaced, it is another one."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.file = self.folder / "a.pem"
        self.file.write_text("one")
        self.seen = {stamps([str(self.file)])}

    def another(self, file: Path | None = None) -> None:
        """It is not what it ever was."""
        now = stamps([str(file or self.file)])
        self.assertNotIn(now, self.seen)
        self.seen.add(now)
        self.assertIn(stamps([str(file or self.file)]), self.seen)

    def test_in_place(self) -> None:
        """Written over, with the same length and even with the time that it had."""
        before = self.file.stat()
        self.file.write_text("two")
        self.another()
        os.utime(self.file, ns=(before.st_atime_ns, before.st_mtime_ns))
        self.another()

    def test_renamed_over(self) -> None:
        """As careful programs do."""
        other = self.folder / "b"
        other.write_text("one")
        other.rename(self.file)
        self.another()

    def test_gone(self) -> None:
        """Gone and back."""
        self.file.unlink()
        self.another()
        self.file.write_text("one")
        self.another()

    def test_kubernetes(self) -> None:
        """A volume: the file is a link into a folder that is a link, which is swapped; the old one is removed."""
        for name in ("..1", "..2"):
            (self.folder / name).mkdir()
            (self.folder / name / "tls.crt").write_text("same")
        data = self.folder / "..data"
        data.symlink_to("..1")
        link = self.folder / "tls.crt"
        link.symlink_to("..data/tls.crt")
        self.another(link)
        self.another(self.folder)
        (self.folder / "..data_tmp").symlink_to("..2")
        (self.folder / "..data_tmp").rename(data)
        self.another(link)
        self.another(self.folder)

    def test_folder(self) -> None:
        """Files that come, go or change."""
        self.another(self.folder)
        (self.folder / "b.pem").write_text("b")
        self.another(self.folder)
        (self.folder / "b.pem").write_text("c")
        self.another(self.folder)
        with_b = stamps([str(self.folder)])
        (self.folder / "b.pem").unlink()
        self.assertNotEqual(with_b, stamps([str(self.folder)]))

    def test_no_path(self) -> None:
        """What is no path of a file is no error either."""
        self.assertEqual(stamps(["a\0b"]), stamps(["a\0b"]))


class SourceTests(SynchronousTestCase):
    """What is good is used, what is not is told."""

    def setUp(self) -> None:
        self.file = Path(self.mktemp())
        self.file.write_text("one")
        self.reads = 0
        self.source = Source("name", lambda: [str(self.file)], self.load, str)

    def load(self, now: datetime) -> str:
        """Its text, unless that is bad."""
        self.reads += 1
        self.assertIs(NOW, now)
        text = self.file.read_text() if self.file.exists() else "bad: gone"
        if text.startswith("bad"):
            raise MaterialError(str(self.file), "weak", text)
        return text

    def look(self, text: str | None = None, insist: bool = False) -> object:
        """What a look tells, after C{text} was written."""
        if text is not None:
            self.file.write_text(text)
        change = self.source.look(NOW, insist)
        return change and (str(change.error) if change.error else change.name)

    def test_changes(self) -> None:
        """A new one is in use, and told of; without a change, nothing is read."""
        self.assertEqual(("name", "one"), (self.look(), self.source.value))
        self.assertEqual((None, None, 1), (self.look(), self.look(), self.reads))
        self.assertEqual(("name", "two"), (self.look("two"), self.source.value))

    def test_same(self) -> None:
        """What was written anew and is the same is nothing new."""
        self.look()
        value = self.source.value
        self.assertIsNone(self.look("one"))
        self.assertIs(value, self.source.value)

    def test_bad(self) -> None:
        """What is bad is told once, when it is so at the next look as well; the old one stays meanwhile."""
        self.look()
        wrong = f"{self.file}: bad"
        self.assertEqual([None, wrong, None, None], [self.look("bad"), self.look(), self.look(), self.look()])
        self.assertEqual("one", self.source.value)
        self.assertIn("refused", repr(self.source))
        self.assertEqual([None, wrong + " 2"], [self.look("bad 2"), self.look()])
        self.assertEqual(("name", "two"), (self.look("two"), self.source.value))
        self.assertIsNone(self.source.error)
        # and bad in the same way again
        self.assertEqual([None, wrong], [self.look("bad"), self.look()])
        self.assertIsNone(self.look("two"))

    def test_half(self) -> None:
        """Half of a change, seen once, is no news."""
        self.look()
        self.assertEqual([None, "name"], [self.look("bad"), self.look("two")])

    def test_gone(self) -> None:
        """A file that is gone is bad."""
        self.look()
        self.file.unlink()
        self.assertEqual([None, f"{self.file}: bad: gone"], [self.look(), self.look()])
        self.assertEqual("one", self.source.value)

    def test_insist(self) -> None:
        """Who asks is told at once, and each time; it is read although it has not changed."""
        wrong = f"{self.file}: bad"
        self.assertEqual([wrong, wrong], [self.look("bad", insist=True), self.look(insist=True)])
        self.assertEqual((None, None), (self.look(), self.source.value))
        self.assertEqual("name", self.look("one", insist=True))
        reads = self.reads
        self.look(insist=True)
        self.assertEqual(reads + 1, self.reads)

    def test_written_while_read(self) -> None:
        """What is written while it is read is seen at the next look."""
        self.look()

        def load(now: datetime) -> str:
            text = self.file.read_text()
            self.file.write_text("three")
            return text

        self.source._load = load
        self.look("two")
        self.assertEqual("two", self.source.value)
        self.assertEqual(("name", "three"), (self.look(), self.source.value))


class StageTests(SynchronousTestCase):
    """How far a certificate is in its life."""

    def test_stages(self) -> None:
        """From a third of it on somebody should know."""
        one = material(authority().issue("a.test"))
        life = one.not_after - one.not_before
        for part, wanted in (
            (0.5, 0),
            (0.66, 0),
            (0.67, LAST_THIRD),
            (0.89, LAST_THIRD),
            (0.91, LAST_TENTH),
            (1, LAST_TENTH),
        ):
            self.assertEqual(wanted, stage(one, one.not_before + life * part))
        self.assertEqual(EXPIRED, stage(one, one.not_after + timedelta(seconds=1)))
