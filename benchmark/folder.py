# -*- test-case-name: tests.benchmark.test_folder -*-
"""
Where a session leaves what it found: C{benchmark/out/<date>-<branch>/}, a new folder for each session.

 - C{index.html}: all of it to look at
 - C{summary.txt}: a line per scenario and proxy; see L{benchmark.summary}
 - C{results.json}: the machine, the settings, every run
 - C{runs/}: every run by itself, under a name that tells all that varies
 - C{raw/}: what the load programs printed, under the same names
 - C{proxies/}: configuration and log of each proxy
 - C{profiles/}: flame graphs and their stacks
"""

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from benchmark.process import PROJECT
from benchmark.session import Run, file_name

#: ignored by git
OUT = PROJECT / "benchmark" / "out"


def branch(repository: Path = PROJECT) -> str:
    """The branch that is checked out, or the commit where there is none; C{checkout} outside git."""
    for command in (("symbolic-ref", "--quiet", "--short", "HEAD"), ("rev-parse", "--short", "HEAD")):
        try:
            done = subprocess.run(
                ["git", *command], cwd=repository, capture_output=True, text=True, timeout=20, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            break
        if not done.returncode and done.stdout.strip():
            return done.stdout.strip()
    return "checkout"


@dataclass(frozen=True)
class Folder:
    """One session's."""

    path: Path

    @property
    def raw(self) -> Path:
        return self.path / "raw"

    @property
    def proxies(self) -> Path:
        return self.path / "proxies"

    @property
    def profiles(self) -> Path:
        return self.path / "profiles"

    @property
    def summary(self) -> Path:
        return self.path / "summary.txt"

    @property
    def results(self) -> Path:
        return self.path / "results.json"

    def keep(self, run: Run) -> None:
        """Write C{run} by itself. Fails when there is one of that name: no result is written over another."""
        with open(self.path / "runs" / f"{file_name(run)}.json", "x") as file:
            json.dump(asdict(run), file, indent=1)

    def save(
        self,
        about: dict[str, object],
        scenarios: Mapping[str, Mapping[str, object]],
        runs: Sequence[Run],
        lacking: Sequence[str],
    ) -> None:
        """Keep everything in one file, noisy and failed runs included; C{lacking} is in words what is not there."""
        found = {"environment": about, "scenarios": scenarios, "lacking": list(lacking)}
        self.results.write_text(json.dumps(found | {"runs": [asdict(run) for run in runs]}, indent=1) + "\n")


def make(path: Path) -> Folder:
    """The folder C{path} with its parts; it must be new or empty, else L{FileExistsError}."""
    path.mkdir(parents=True, exist_ok=True)
    if any(path.iterdir()):
        raise FileExistsError(f"{path} is not empty")
    folder = Folder(path.absolute())
    for part in (folder.raw, folder.proxies, path / "runs"):
        part.mkdir()
    return folder


def new(what: str, today: date, out: Path = OUT) -> Folder:
    """A folder named after the day and C{what} (the branch), with a number if there is one of that name."""
    words = re.sub(r"[^\w.~+-]", "-", what)
    name = f"{today.isoformat()}-{words}"
    number = 1
    out.mkdir(parents=True, exist_ok=True)  # first, for what is in its way is in the way of every number
    while True:
        path = out / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir()
            return make(path)
        except FileExistsError:
            number += 1
