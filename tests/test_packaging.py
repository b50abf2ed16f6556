# -*- test-case-name: tests.test_packaging -*-
"""
Installed as a wheel, from the source distribution or editable, lproxy is found by Twisted and finds its plugins.

Builds and installs for real, in temporary environments. Nothing is downloaded: they see the packages of the
environment that runs the tests, and build with its setuptools.
"""

from __future__ import annotations

import atexit
import configparser
import contextlib
import importlib.metadata
import importlib.util
import inspect
import io
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import textwrap
import tomllib
import venv
import zipfile
from functools import cache
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

import lproxy
from lproxy.app import outbound
from lproxy.configfile.load import load
from lproxy.tap import read
from tests.floors_source import ROOT, sources, under

SAMPLE = ROOT / "tests" / "sample_plugin"

#: what is copied and built, as a clone would have it
TREE = (
    *("lproxy", "twisted", "tests", "docs", "backend", "benchmark", "contrib", ".ci"),
    *(p.name for p in ROOT.iterdir() if p.is_file()),
)

#: a program for every environment: what a drop-in drags in
IMPORTS_OF_DROPIN = """
import sys
import twisted.plugins.lproxy_plugin
heavy = {"twisted.internet.reactor", "lproxy", "lproxy.tap"} & set(sys.modules)
sys.exit(f"the drop-in imports {heavy}" if heavy else 0)
"""

#: a program that holds the sample plugin against the interface and asks its detector
USE_MEMO = """
from twisted.plugin import getPlugins
from zope.interface.verify import verifyObject
import lproxy.plugins
from lproxy.api import IProtocolPlugin, Match, NeedMore, NoMatch

memo = {plugin.name: plugin for plugin in getPlugins(IProtocolPlugin, lproxy.plugins)}["memo"]
verifyObject(IProtocolPlugin, memo)
opening = b"MEMO/1 shopping\\r\\n"
for end in range(len(opening) + 1):
    verdict = memo.detector(opening[:end])
    assert isinstance(verdict, NeedMore) if end < 7 else verdict == Match("1"), end
assert memo.detector(b"GET / HTTP/1.1") == memo.detector(b"M\\0") == NoMatch()
try:
    memo.configure({"colour": "red"})
except ValueError as error:
    print(error)
"""

#: scripts of Twisted, which a temporary environment has not got
TWISTD = "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; run()"
TWIST = "import sys; from twisted.application.twist._twist import Twist; Twist.main(['twist', *sys.argv[1:]])"


def run(*command: str | Path, cwd: Path, **env: str) -> str:
    """What C{command} prints. It sees no environment of ours that could help it to find lproxy."""
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "LPROXY_DENY_WARNINGS")}
    done = subprocess.run(
        [str(c) for c in command], cwd=cwd, env=clean | env, capture_output=True, text=True, timeout=120
    )
    if done.returncode:
        raise AssertionError(f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def copy_tree(source: Path, names: tuple[str, ...], to: Path) -> Path:
    """A copy as of a clone, with a stale cache of Twisted's in it, as a checkout that was used has one."""
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", "*.so", "_trial_temp*", "build")
    for name in names:
        if (source / name).is_dir():
            shutil.copytree(source / name, to / name, ignore=ignore)
        elif (source / name).is_file():
            to.mkdir(exist_ok=True)
            shutil.copy(source / name, to / name)
    for plugins in to.rglob("plugins"):
        (plugins / "dropin.cache").write_bytes(b"stale")
    return to


def build(tree: Path, kind: str, out: Path, **env: str) -> Path:
    """Build C{tree}'s C{wheel} or C{sdist}."""
    system = tomllib.loads((tree / "pyproject.toml").read_text())["build-system"]
    program = f"import sys; from {system['build-backend']} import build_{kind} as b; print(b(sys.argv[1]))"
    path = os.pathsep.join(str(tree / folder) for folder in system.get("backend-path", ()))
    out.mkdir(exist_ok=True)
    return out / run(sys.executable, "-c", program, out, cwd=tree, PYTHONPATH=path, **env).splitlines()[-1]


class Environment:
    """A virtual environment of its own that borrows the packages of the running one."""

    def __init__(self, home: Path) -> None:
        self.home = home
        venv.create(home, with_pip=False, symlinks=True)
        self.python = home / "bin" / "python"
        self.site = home / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
        self.elsewhere = home / "elsewhere"
        self.elsewhere.mkdir()
        # last in the alphabet, so that what is installed here comes first; a borrowed path's own .pth files
        # (an editable lproxy, say) are not read
        borrowed = sorted({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
        (self.site / "zz_borrowed.pth").write_text("\n".join(borrowed) + "\n")

    def install(self, *what: str | Path) -> None:
        """pip install, without dependencies and without the network. Python compiles what it comes to import."""
        pip = (self.python, "-m", "pip", "install", "-q", "--no-compile", "--disable-pip-version-check")
        offline = ("--no-deps", "--no-index", "--no-build-isolation", "--ignore-installed", "--root-user-action=ignore")
        run(*pip, *offline, *what, cwd=self.elsewhere)

    def program(self, text: str, *arguments: str, **env: str) -> str:
        """What a Python program prints, run far from any checkout."""
        return run(self.python, "-c", text, *arguments, cwd=self.elsewhere, **env)

    def lproxy(self, *arguments: str, **env: str) -> str:
        """What the console script prints."""
        return run(self.home / "bin" / "lproxy", *arguments, cwd=self.elsewhere, **env)


class Workshop:
    """Everything built once for all tests of this module, and removed after the last."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="lproxy-packaging-"))
        self.tree = copy_tree(ROOT, TREE, self.home / "tree")
        self.sample = copy_tree(SAMPLE, tuple(p.name for p in SAMPLE.iterdir()), self.home / "sample")
        self.sdist = build(self.tree, "sdist", self.home / "dist")
        self.wheel = build(self.tree, "wheel", self.home / "dist")
        self.sample_wheel = build(self.sample, "wheel", self.home / "dist")

    @cache  # noqa: B019 - one workshop, as long as the process
    def environment(self, kind: str) -> Environment:
        """An environment with lproxy in it."""
        environment = Environment(self.home / kind)
        what: dict[str, tuple[str | Path, ...]] = {
            "wheel": (self.wheel,),
            "sdist": (self.sdist,),
            "editable": ("-e", self.tree),
        }
        environment.install(*what[kind])
        return environment


@cache
def workshop() -> Workshop:
    """The one workshop. Where it cannot be set up, tests are skipped, but in CI they fail."""
    for name in ("pip", "setuptools"):
        if importlib.util.find_spec(name) is None:
            raise missing(f"{name} is not installed")
    if int(importlib.metadata.version("setuptools").partition(".")[0]) < 77:
        raise missing("setuptools is older than 77: pip install -e '.[dev]'")
    made = Workshop()
    # trial has no tearDownModule
    atexit.register(shutil.rmtree, made.home, ignore_errors=True)
    return made


def missing(what: str) -> Exception:
    """Skip, or fail where nothing may be missing."""
    return AssertionError(what) if os.environ.get("LPROXY_DENY_WARNINGS") else SkipTest(what)


class DeclaredTests(SynchronousTestCase):
    """setup.cfg against the code."""

    def setUp(self) -> None:
        self.setup = configparser.ConfigParser()
        self.setup.read(ROOT / "setup.cfg")

    def test_dependencies(self) -> None:
        """What lproxy imports is what it declares, no less and no more."""
        #: zope.interface is part of Twisted's API and comes with it
        modules = {"httptools": "httptools", "prometheus_client": "prometheus-client", "twisted": "twisted"}
        modules |= {
            "zope": "twisted",
            "kafka": "kafka-python",
            "OpenSSL": "pyopenssl",
            "re2": "google-re2",
            "service_identity": "service-identity",
            "yaml": "pyyaml",
        }
        known = {"lproxy", *sys.stdlib_module_names}
        imported = {name.split(".")[0] for source in sources() for _, name in source.imports} - known
        declared = set(re.findall(r"^([\w-]+)", self.setup["options"]["install_requires"], re.M))
        extra = {"opentelemetry"}
        self.assertEqual(declared, {modules.get(name, name) for name in imported - extra})

    def test_extra(self) -> None:
        """What only tracing needs is an extra, and imported by the modules that are for it."""
        users = {source.module for source in sources() for _, name in source.imports if under(name, "opentelemetry")}
        self.assertEqual({"lproxy.app.otel", "lproxy.app.otlp"}, users)
        declared = re.findall(r"^([\w-]+)>=", self.setup["options.extras_require"]["otel"], re.M)
        parts = ("api", "sdk", "proto", "exporter-otlp-proto-common", "exporter-otlp-proto-http")
        self.assertEqual([f"opentelemetry-{part}" for part in parts], declared)

    def test_floors_only(self) -> None:
        """Each has a floor and none a ceiling, with its reason on the line above."""
        lines = (ROOT / "setup.cfg").read_text().partition("install_requires =\n")[2].partition("\n[")[0].splitlines()
        for reason, requirement in zip(lines[::2], lines[1::2], strict=False):
            if requirement.strip():
                self.assertTrue(reason.lstrip().startswith("# "), reason)
                self.assertRegex(requirement, r"^ +[\w-]+>=[\d.]+$")

    def test_version(self) -> None:
        """There is one version, in the package."""
        self.assertEqual("attr: lproxy.__version__", self.setup["metadata"]["version"])
        self.assertIn(f"\n{lproxy.__version__} ", (ROOT / "CHANGES.rst").read_text())

    def test_readme(self) -> None:
        """The README's examples are configurations without an error or a warning."""
        examples = re.findall(r"\.\. code-block:: toml\n\n((?: {4}.*\n|\n)+)", (ROOT / "README.rst").read_text())
        self.assertEqual(3, len(examples))
        for example in examples:
            loaded = load(
                textwrap.dedent(example), "README.rst", {"http": lambda table: None, "tcp": lambda table: None}
            )
            self.assertEqual((), loaded.problems)

    def test_sample(self) -> None:
        """The sample configuration has neither an error nor a warning, and can be started."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            loaded = read(str(ROOT / "lproxy.toml"), here=True)
        self.assertEqual(((), "", ""), (loaded.problems, out.getvalue(), err.getvalue()))
        self.assertIsNotNone(loaded.config)

    def test_picture(self) -> None:
        """The README's picture has the layers of the stack, in their order."""
        picture = (ROOT / "README.rst").read_text().partition("tcp, kafka session")[2].partition("upstream\n")[0]
        shown = re.findall(r"^      (\w+) {2,}\w", picture, re.MULTILINE)

        def layers(of: object) -> list[str]:
            return re.findall(r"^ +(\w+)\.(?:layer|retries)\(", inspect.getsource(of), re.MULTILINE)

        # what all configurations share stands between
        whole = [*layers(outbound.acquire), "lock", "cache", *layers(outbound.new_service), "connect"]
        self.assertEqual(whole, shown)

    def test_no_init(self) -> None:
        """Twisted's own package is not ours to found, nor lproxy's a plugin's."""
        for path in ("twisted", "twisted/plugins", "tests/sample_plugin/lproxy", "tests/sample_plugin/lproxy/plugins"):
            self.assertTrue((ROOT / path).is_dir())
            self.assertFalse((ROOT / path / "__init__.py").exists(), path)


class ContentsTests(SynchronousTestCase):
    """What is in the files that are handed out."""

    def test_wheel(self) -> None:
        """All of lproxy and the drop-in; no tests, no caches."""
        with zipfile.ZipFile(workshop().wheel) as wheel:
            names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        wanted = {str(path.relative_to(ROOT)) for path in (ROOT / "lproxy").rglob("*.py")}
        self.assertEqual(wanted | {"lproxy/py.typed", "twisted/plugins/lproxy_plugin.py"}, names)

    def test_pure(self) -> None:
        """It is for every machine, and building it leaves nothing that a later build would pack."""
        self.assertRegex(workshop().wheel.name, r"-py3-none-any\.whl$")
        self.assertFalse((workshop().tree / "build").exists())

    def test_sdist(self) -> None:
        """The whole project, so that whoever packages it can test it; and no caches."""
        with tarfile.open(workshop().sdist) as sdist:
            names = {name.partition("/")[2] for name in sdist.getnames()}
        wanted = {
            str(p.relative_to(ROOT))
            for d in ("lproxy", "tests", "backend", "benchmark")
            for p in (ROOT / d).rglob("*.py")
        }
        wanted |= {"README.rst", "CHANGES.rst", "LICENSE", "setup.cfg", "setup.py", "pyproject.toml", ".ci/run"}
        wanted |= {"lproxy.toml"}
        wanted |= {"twisted/plugins/lproxy_plugin.py", "tests/sample_plugin/setup.cfg"}
        self.assertEqual(set(), wanted - names)
        self.assertEqual([], [name for name in names if name.endswith((".cache", ".pyc"))])


class InstalledMixin:
    """The same promises for every way of installing."""

    kind: str

    def setUp(self) -> None:
        self.environment = workshop().environment(self.kind)

    def test_own_copy(self) -> None:
        """It is this environment's lproxy that is looked at, not the checkout's."""
        home = workshop().tree if self.kind == "editable" else self.environment.site
        where = self.environment.program("import lproxy; print(lproxy.__file__)").strip()
        self.assertEqual(str(home / "lproxy" / "__init__.py"), where)

    def test_found_by_twisted(self) -> None:
        """twistd and twist both list it."""
        for program in (TWISTD, TWIST):
            self.assertRegex(self.environment.program(program, "--help"), r"(?m)^ +lproxy +A service proxy")

    def test_options(self) -> None:
        """The command that they list leads to our options."""
        for program in (TWISTD, TWIST):
            self.assertIn("--config", self.environment.program(program, "lproxy", "--help"))

    def test_light_dropin(self) -> None:
        """Listing it costs other twistd commands nothing, least of all their choice of reactor."""
        self.environment.program(IMPORTS_OF_DROPIN)

    def test_built_in(self) -> None:
        """The built-in protocols come in by the plugins' door."""
        listed = self.environment.lproxy("plugins")
        for name in ("http", "tcp"):
            self.assertRegex(listed, rf"(?m)^{name}\b")
        self.assertNotRegex(listed, r"(?m)^memo\b")

    def test_third_party(self) -> None:
        """A plugin of another distribution is found when its folder is on the path, beside the built-in ones."""
        listed = self.environment.lproxy("plugins", PYTHONPATH=str(workshop().sample))
        for name in ("http", "tcp", "memo"):
            self.assertRegex(listed, rf"(?m)^{name}\b")

    def test_unwritable_cache(self) -> None:
        """Where Twisted cannot write its cache of plugins, or finds a broken one, it looks at the files themselves."""
        home = workshop().tree if self.kind == "editable" else self.environment.site
        for package in ("twisted", "lproxy"):
            dropin = home / package / "plugins" / "dropin.cache"
            dropin.unlink(missing_ok=True)
            dropin.mkdir()  # refuses to be written, even by root
            self.addCleanup(dropin.rmdir)
        self.assertRegex(self.environment.program(TWISTD, "--help"), r"(?m)^ +lproxy +A service proxy")
        self.assertRegex(self.environment.lproxy("plugins"), r"(?m)^http\b")


class WheelTests(InstalledMixin, SynchronousTestCase):
    """Installed as a wheel."""

    kind = "wheel"


class SdistTests(InstalledMixin, SynchronousTestCase):
    """Installed from the source distribution."""

    kind = "sdist"


class EditableTests(InstalledMixin, SynchronousTestCase):
    """Installed as a link to the checkout."""

    kind = "editable"


class ThirdPartyTests(SynchronousTestCase):
    """A plugin that is installed, not merely on the path, in every combination."""

    def check(self, ours: str, *theirs: str | Path) -> None:
        """Both are found. C{ours} and C{theirs} say how each is installed."""
        environment = Environment(Path(tempfile.mkdtemp(dir=workshop().home)) / "env")
        environment.install(*((workshop().wheel,) if ours == "wheel" else ("-e", workshop().tree)), *theirs)
        listed = environment.lproxy("plugins")
        for name in ("http", "tcp", "memo"):
            self.assertRegex(listed, rf"(?m)^{name}\b")
        self.assertIn("0.2", re.search(r"(?m)^memo\b.*$", listed)[0])

    def test_wheel_on_wheel(self) -> None:
        """Both as wheels: the files lie in one folder."""
        self.check("wheel", workshop().sample_wheel)

    def test_wheel_on_editable(self) -> None:
        """lproxy in a checkout, the plugin in site-packages."""
        self.check("editable", workshop().sample_wheel)

    def test_editable_on_wheel(self) -> None:
        """A plugin's author at work, lproxy installed."""
        self.check("wheel", "-e", workshop().sample)

    def test_usable(self) -> None:
        """It is a provider of the interface, judges every prefix and refuses a setting that it does not know."""
        environment = workshop().environment("wheel")
        said = environment.program(USE_MEMO, PYTHONPATH=str(workshop().sample))
        self.assertTrue(said.startswith("colour: "), said)

    def test_no_hiding(self) -> None:
        """The plugin's wheel brings no file that lproxy's own has."""
        with zipfile.ZipFile(workshop().sample_wheel) as theirs, zipfile.ZipFile(workshop().wheel) as ours:
            self.assertEqual(set(), set(theirs.namelist()) & set(ours.namelist()))
            files = {name for name in theirs.namelist() if ".dist-info/" not in name}
        self.assertIn("lproxy/plugins/memo_plugin.py", files)
        self.assertTrue(all(under(name.replace("/", "."), "lproxy.plugins", "lproxy_memo") for name in files), files)
