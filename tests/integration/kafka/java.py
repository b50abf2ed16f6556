# -*- test-case-name: tests.integration.kafka.test_broker -*-
"""
Kafka's jars, which Maven brings, and what is run from them: brokers and command line tools.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from tests.components import require

POM = Path(__file__).with_name("pom.xml")
#: what is brought: ours, so that a new pom gets a new folder
VERSION = "kafka-4.1.0"
#: seconds for what takes Java a few, on a busy machine
PATIENCE = 90.0
#: quick to start, small, and as good as any for the little that they do
JAVA = ("java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Djava.awt.headless=true")
#: if the tests are killed, so are the brokers
DIE_WITH_US = ("setpriv", "--pdeathsig", "KILL")


@functools.cache
def jars() -> Path:
    """
    The folder with Kafka's jars, which Maven fills when it is needed for the first time.

    It appears whole or not at all, so that two runs may do this at once.
    """
    require("java", "mvn", "setpriv")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lproxy"
    folder = cache / f"{VERSION}-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}"
    if folder.exists():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as work:
        shutil.copy(POM, work)
        command = ["mvn", "-q", "-B", "-f", f"{work}/pom.xml", "dependency:copy-dependencies"]
        # mirrors have bad moments
        for pause in (2, 5, 10, None):
            done = subprocess.run([*command, f"-DoutputDirectory={work}/lib"], capture_output=True, text=True)
            if not done.returncode:
                break
            if pause is None:
                raise AssertionError(f"Maven cannot bring Kafka:\n{done.stdout}{done.stderr}")
            time.sleep(pause)
        # there by now: another run was quicker
        with contextlib.suppress(OSError):
            os.rename(f"{work}/lib", folder)
    return folder


def java(*arguments: str, memory: str = "128m", options: tuple[str, ...] = ()) -> list[str]:
    """A command that runs a class of Kafka's."""
    return [*DIE_WITH_US, *JAVA, f"-Xmx{memory}", *options, "-cp", f"{jars()}/*", *arguments]


def tool(name: str, *arguments: str, seconds: float = PATIENCE) -> str:
    """What one of Kafka's command line tools says, such as C{TopicCommand}; it must end well."""
    quiet = ("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",)
    done = subprocess.run(
        java(f"org.apache.kafka.tools.{name}", *arguments, options=quiet),
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    if done.returncode:
        raise AssertionError(f"{name} {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout + done.stderr
