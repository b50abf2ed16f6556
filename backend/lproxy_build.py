# -*- test-case-name: tests.test_build -*-
"""
How lproxy is built: by setuptools, and with C{LPROXY_COMPILE=1} in the environment its hot modules by mypyc too.

A build backend (PEP 517) in front of setuptools' own. mypyc makes C of the very files that are read, tested and edited
here; a compiled wheel holds the sources and, beside those of L{HOT}, an extension module of the same name, which Python
prefers. Without the variable nothing is compiled, and no compiler is needed or looked for.

Whoever asks for the compiled build gets that or an error: what silently fell back to the pure one would be found out
under load. For the same reason an editable install is never compiled: its extension modules would hide what is edited.
"""

import configparser
import os
import shutil
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from setuptools import Extension, build_meta
from setuptools.build_meta import build_sdist, get_requires_for_build_sdist, prepare_metadata_for_build_wheel

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

ROOT = Path(__file__).resolve().parent.parent
VARIABLE = "LPROXY_COMPILE"

#: what is compiled: files, and folders with all that is in them, so that a new file joins by itself. What a request or
#: a piece of a stream passes through belongs here, and what each new connection does; what
#: runs once for a listener gains nothing
HOT = (
    "lproxy/app/access.py",
    "lproxy/app/lines.py",
    "lproxy/app/listener.py",
    "lproxy/app/proxied.py",
    "lproxy/app/secure.py",
    "lproxy/app/sessions.py",
    "lproxy/app/straight.py",
    "lproxy/logformat.py",
    "lproxy/target.py",
    "lproxy/verdict.py",
    "lproxy/metrics/counters.py",
    "lproxy/stack",
    "lproxy/transport",
    "lproxy/protocols/tcp",
    "lproxy/protocols/http",
    "lproxy/protocols/kafka/detect.py",
    "lproxy/protocols/kafka/codec",
    "lproxy/protocols/kafka/talk",
    "lproxy/protocols/kafka/connections.py",
    "lproxy/protocols/kafka/metrics.py",
    "lproxy/protocols/kafka/progress.py",
    "lproxy/protocols/kafka/session.py",
)

#: what is not, though its folder is, by how its path ends: it runs once for a listener, or for the admin server or a
#: command alone
COLD = (
    "/plugin.py",
    "/factory.py",
    "/options.py",
    "/tls/asking.py",
    "/tls/memory.py",
    "/explain/request.py",
    "/explain/route.py",
)

#: the compiler's own packages. mypyc reads the types of what the modules import, with the settings of [tool.mypy]: so
#: lproxy's requirements are needed as well, and the plugin that knows zope's interfaces
COMPILER = ("mypy[mypyc]>=2.4", "mypy-zope")

#: what setup.py gives to setuptools; filled while a compiled wheel is being built
extensions: list[Extension] = []

Settings = Mapping[str, Any] | None


def hot(root: Path = ROOT) -> list[str]:
    """The files to compile, relative to C{root}. A package's C{__init__.py} is never one: it is empty or cold."""
    found: list[str] = []
    for name in HOT:
        path = root / name
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        found += [str(file.relative_to(root)) for file in files if file.name != "__init__.py"]
    return [name for name in found if not name.endswith(COLD)]


def wanted() -> bool:
    """Does the environment ask for the compiled build?"""
    value = os.environ.get(VARIABLE, "")
    if value not in ("", "0", "1"):
        raise SystemExit(f"lproxy: {VARIABLE} is 1 (compile), 0 or unset (do not), not {value!r}")
    return value == "1"


def need_compiler() -> None:
    """End with what is missing for C, before anything is downloaded."""
    command = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    header = Path(sysconfig.get_path("include"), "Python.h")
    for there, what in (
        (shutil.which(command) is not None, f"the C compiler, {command}, is not installed (Debian: gcc)"),
        (header.exists(), f"Python's headers are not installed: no {header} (Debian: python3-dev)"),
    ):
        if not there:
            raise SystemExit(f"lproxy: {VARIABLE}=1, but {what}; unset it to install the pure build")


def requirements() -> list[str]:
    """What a compiled build has to see: mypyc, and all that lproxy imports."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    return [*COMPILER, *setup["options"]["install_requires"].split("\n")[1:]]


def compiled(scratch: Path) -> list[Extension]:
    """
    C of the hot modules, ready for setuptools to compile.

    They are one group, so that one calls another without Python in between. An error of types ends the build.
    """
    # asked for by requirements(): not there for other builds
    from mypyc.build import mypycify

    options = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(scratch / "mypy")]
    found: list[Extension] = mypycify(
        [*options, *hot()],
        group_name="lproxy",
        target_dir=str(scratch / "c"),
        opt_level="3",
        debug_level="0",  # perf and py-spy --native need functions' names alone
        multi_file=True,  # a compiler's time and memory grow faster than a file
    )
    for extension in found:
        # a newer compiler's new warning is no reason not to install
        extension.extra_compile_args = [word for word in extension.extra_compile_args if word != "-Werror"]
    return found


@contextmanager
def built_elsewhere() -> Iterator[Path]:
    """
    A folder in which setuptools builds, until the end of the block, instead of in C{build/} of the checkout.

    What lay there from an earlier build would be packed again, though its source is gone or no longer compiled.
    """
    before = os.environ.get("DIST_EXTRA_CONFIG")
    with tempfile.TemporaryDirectory(prefix="lproxy-build-") as name:
        config = Path(name, "setup.cfg")
        config.write_text(f"[build]\nbuild_base = {name}/build\n")
        os.environ["DIST_EXTRA_CONFIG"] = str(config)
        try:
            yield Path(name)
        finally:
            del os.environ["DIST_EXTRA_CONFIG"]
            if before is not None:
                os.environ["DIST_EXTRA_CONFIG"] = before


# what installers call


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    """Called by an installer: what the isolated environment has to hold besides setuptools."""
    found: list[str] = build_meta.get_requires_for_build_wheel(config_settings)
    if wanted():
        need_compiler()
        found += requirements()
    return found


def build_wheel(wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None) -> str:
    """Called by an installer: build, and return the wheel's name."""
    with built_elsewhere() as scratch:
        if wanted():
            need_compiler()
            extensions[:] = compiled(scratch)
        try:
            name: str = build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)
        finally:
            extensions.clear()
    return name


def refuse_editable() -> None:
    """End, where the environment asks for an editable install that is compiled."""
    if wanted():
        raise SystemExit(
            f"lproxy: {VARIABLE}=1 with an editable install: extension modules would hide the sources that you edit. "
            f"Unset it, or install without -e"
        )


def get_requires_for_build_editable(config_settings: Settings = None) -> list[str]:
    """Called by an installer."""
    refuse_editable()
    found: list[str] = build_meta.get_requires_for_build_editable(config_settings)
    return found


def prepare_metadata_for_build_editable(metadata_directory: str, config_settings: Settings = None) -> str:
    """Called by an installer."""
    refuse_editable()
    name: str = build_meta.prepare_metadata_for_build_editable(metadata_directory, config_settings)
    return name


def build_editable(
    wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None
) -> str:
    """Called by an installer."""
    refuse_editable()
    with built_elsewhere():
        name: str = build_meta.build_editable(wheel_directory, config_settings, metadata_directory)
    return name
