# -*- test-case-name: tests.test_contrib -*-
"""
contrib/: what platforms want of lproxy, held against lproxy itself and against the platforms' own tools.

Over 300 lines: a class for each platform, and none has much.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import yaml
from twisted.trial.unittest import SynchronousTestCase

import lproxy
from lproxy.app.families import OURS, families
from lproxy.app.plugins import find
from lproxy.config import Config, Limits, Timeouts
from lproxy.metrics import exposition
from lproxy.metrics.counters import Histogram
from lproxy.sidecar.inject import injected
from lproxy.sidecar.pod import IDENTITY_FOLDER
from lproxy.sidecar.redirect import UID
from lproxy.sidecar.settings import MARGIN, PRE_STOP, Settings
from lproxy.tap import plugins, read
from lproxy.testing.certificates import authority
from tests.components import require
from tests.floors_source import ROOT
from tests.kubernetes import complaints

CONTRIB = ROOT / "contrib"
#: of prometheus_client, beside ours
STANDARD = {"process_resident_memory_bytes", "process_cpu_seconds_total"}
#: a name in a query that is no function and no keyword
NAME = re.compile(r"\b([a-z][a-z0-9]*(?:_[a-z0-9]+)+|in_flight)\b(?=\s*(?:\{|\[|\)|$| ))")
FUNCTIONS = {"histogram_quantile", "label_values"}

#: a process that takes its time over SIGTERM
DRAINS = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda number, frame: (time.sleep(0.3), sys.exit(7)))
print("ready", flush=True)
while True:
    signal.pause()
"""


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


class PrometheusTests(SynchronousTestCase):
    """The board and the rules speak of metrics that there are."""

    def setUp(self) -> None:
        self.kinds = {family.name: family.kind for family in families([one for one in find() if one.name in OURS])}

    def check(self, query: str) -> None:
        """Each name in C{query} is a series of ours."""
        bare = re.sub(r"\{[^}]*\}", "{", re.sub(r'"[^"]*"', "", query))
        names = set(NAME.findall(re.sub(r"\b(by|on|without)\s*\([^)]*\)", "", bare))) - FUNCTIONS
        self.assertTrue(names, query)
        for name in names - STANDARD:
            family = re.sub(r"_(bucket|sum|count)$", "", name)
            self.assertIn(family, self.kinds, query)
            self.assertEqual(family != name, self.kinds[family] == "histogram", query)

    def test_board(self) -> None:
        """Each panel of the Grafana board asks for what exists, and has a place of its own."""
        board: Any = json.loads((CONTRIB / "grafana" / "lproxy.json").read_text())
        places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
        self.assertEqual(len(set(places)), len(places))
        self.assertEqual(len({panel["id"] for panel in board["panels"]}), len(board["panels"]))
        queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
        for query in queries:
            self.check(query)
            self.assertIn("$instance", query)
            if "success" in query:
                self.assertIn(" or 0 * ", query, "who has had no success has a ratio, too")
        require("promtool")
        path = Path(self.mktemp())
        rules = [{"record": f"query:{n}", "expr": self.filled(query)} for n, query in enumerate(queries)]
        path.write_text(yaml.safe_dump({"groups": [{"name": "board", "rules": rules}]}))
        done = run("promtool", "check", "rules", path)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)

    def filled(self, query: str) -> str:
        """C{query}, with what Grafana puts in it."""
        return query.replace("$instance", ".*").replace("$__rate_interval", "1m")

    def test_rules(self) -> None:
        """So does each alert; promtool takes the file."""
        path = CONTRIB / "prometheus" / "lproxy.rules.yml"
        queries = re.findall(r"expr: (?:>-\n)?((?:.|\n)*?)(?=\n        \w+:)", path.read_text())
        self.assertGreater(len(queries), 5)
        for query in queries:
            self.check(query)
        alerts = re.findall(r"alert: (\w+)", path.read_text())
        told = re.findall(r"(?m)^``(Lproxy\w+)``", (ROOT / "docs" / "operations" / "metrics.rst").read_text())
        self.assertEqual(alerts, told, "what to do about each is in the docs")
        require("promtool")
        done = run("promtool", "check", "rules", path)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)

    def test_alerts(self) -> None:
        """Each alert has a situation in which it fires; in it and in others, those fire that should, and no others."""
        rules = CONTRIB / "prometheus" / "lproxy.rules.yml"
        tests = rules.with_name("lproxy.rules.test.yml")
        alerts = set(re.findall(r"alert: (\w+)", rules.read_text()))
        every = [one for case in yaml.safe_load(tests.read_text())["tests"] for one in case["alert_rule_test"]]
        self.assertEqual(alerts, {one["alertname"] for one in every if one["exp_alerts"]})
        require("promtool")
        done = run("promtool", "test", "rules", tests)
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)


class ScrapeTests(SynchronousTestCase):
    """What Prometheus' own tool says of the families themselves."""

    def test_metrics(self) -> None:
        """It takes all of them, and would have other names for latencies in milliseconds alone, which are linkerd's."""
        require("promtool")
        histogram = Histogram((1.0, 2.0))
        histogram.observe(1.5)
        labels = (("a", "b"),)
        every = [
            family._replace(samples=[(labels, histogram if family.kind == "histogram" else 1)])
            for family in families([one for one in find() if one.name in OURS])
        ]
        text = b"".join(exposition.text(every))
        done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, timeout=60)
        said = (done.stdout + done.stderr).decode().split("\n")
        complaint = "_latency_ms metric names should not contain abbreviated units"
        self.assertEqual([], [line for line in said if line and not line.endswith(complaint)])


class SystemdTests(SynchronousTestCase):
    """The unit, as systemd reads it."""

    def setUp(self) -> None:
        require("systemd-analyze")
        self.text = (CONTRIB / "systemd" / "lproxy.service").read_text()

    def unit(self) -> Path:
        """The unit, with a program that is there."""
        folder = Path(self.mktemp()).absolute()
        folder.mkdir()
        for name in ("lproxy.service", "lproxy.socket"):
            text = (CONTRIB / "systemd" / name).read_text()
            (folder / name).write_text(text.replace("/opt/lproxy/bin/lproxy", sys.executable))
        return folder / "lproxy.service"

    def test_verify(self) -> None:
        """It and its socket have no mistake."""
        unit = self.unit()
        for path in (unit, unit.with_suffix(".socket")):
            done = run("systemd-analyze", "verify", "--man=no", path)
            complaints = [line for line in done.stderr.splitlines() if str(unit.parent) in line or "lproxy" in line]
            self.assertEqual([], complaints)

    def test_security(self) -> None:
        """It has no more rights than it needs: C{systemd-analyze security} finds an exposure of 2 of 10 at most."""
        done = run("systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", self.unit())
        self.assertEqual(0, done.returncode, done.stdout[-400:] + done.stderr)

    def test_executable_memory(self) -> None:
        """cffi makes OpenSSL's callbacks as it runs, in memory that it writes and executes: no TLS without it."""
        self.assertIsNone(re.search(r"(?m)^MemoryDenyWriteExecute=", self.text))

    def test_stop(self) -> None:
        """
        Its end waits for the main process, whoever started that: systemd itself would kill one that has taken over
        at once, as it is no child of its own. Of one that is gone already there is nothing to be done.
        """
        (command,) = re.findall(r"(?m)^ExecStop=(.+)$", self.text)
        words = shlex.split(command)
        # systemd leaves what is within a word, and has no braces, to the shell, which has it from its environment
        self.assertNotIn("${", command)
        with subprocess.Popen([sys.executable, "-c", DRAINS], stdout=subprocess.PIPE, text=True) as main:
            assert main.stdout is not None
            self.assertEqual("ready\n", main.stdout.readline())
            # as systemd does
            reaper = Thread(target=main.wait)
            reaper.start()
            self.addCleanup(reaper.join)
            for pid in (str(main.pid), ""):
                told = {**os.environ, "MAINPID": pid}
                done = subprocess.run(words, env=told, capture_output=True, text=True, timeout=60)
                self.assertEqual((0, "", ""), (done.returncode, done.stdout, done.stderr))
                self.assertFalse(Path(f"/proc/{main.pid}").exists(), "it was waited for")
            self.addCleanup(lambda: self.assertEqual(7, main.returncode))

    def test_times(self) -> None:
        """It is not killed while it drains, and may have the descriptors that its connections need."""
        stop = re.search(r"TimeoutStopSec=(\d+)", self.text)
        files = re.search(r"LimitNOFILE=(\d+)", self.text)
        assert stop is not None and files is not None
        self.assertGreater(int(stop[1]), Timeouts().drain)
        self.assertGreater(int(files[1]), 4 * Limits().connections)


class ContainerTests(SynchronousTestCase):
    """The image; nothing is built here."""

    def setUp(self) -> None:
        self.text = (CONTRIB / "container" / "Containerfile").read_text()

    def test_rights(self) -> None:
        """The last stage runs as the user that iptables' rules leave alone, and is asked by C{lproxy probe}."""
        last = self.text.rpartition("\nFROM ")[2]
        self.assertIn(f"USER {UID}:{UID}\n", last)
        self.assertRegex(last, r'HEALTHCHECK .*CMD \["lproxy", "probe"\]')
        self.assertIn('CMD ["run", "--json", "/etc/lproxy/lproxy.toml"]', last)

    def test_files(self) -> None:
        """What it copies is there, and is a configuration without a mistake."""
        files = re.search(r"COPY (.*) /etc/lproxy/\n", self.text)
        assert files is not None
        self.assertEqual(["lproxy.toml", "contrib/container/sidecar.toml"], files[1].split())
        for names in re.findall(r"^COPY (?!--from)(.*) \S+$", self.text, re.MULTILINE):
            self.assertEqual([], [name for name in names.split() if not (ROOT / name).exists()])

    def test_build(self) -> None:
        """What it copies is all that setuptools reads."""
        copied = {name for names in re.findall(r"^COPY (.*) /src/", self.text, re.MULTILINE) for name in names.split()}
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]
        setup = configparser.ConfigParser()
        setup.read(ROOT / "setup.cfg")
        named = {*project["backend-path"], setup["metadata"]["long_description"].removeprefix("file: ")}
        named |= {setup["metadata"]["license_files"], "pyproject.toml", "setup.cfg", "lproxy", "twisted"}
        self.assertLessEqual(named, copied)


class KubernetesTests(SynchronousTestCase):
    """The manifests, as Kubernetes takes them."""

    folder = CONTRIB / "kubernetes"

    def test_configurations(self) -> None:
        """Each configuration is without a mistake, with the files that cert-manager makes where they are looked for."""
        found = plugins()
        home = Path(self.mktemp())
        issued = authority("mesh").issue("spiffe://cluster.local/ns/default/sa/web").write(home)
        for path, name in zip(issued, ("ca.crt", "tls.crt", "tls.key"), strict=True):
            Path(path).rename(home / name)
        files = sorted(CONTRIB.rglob("*.toml"))
        self.assertEqual(4, len(files))
        for file in files:
            config = home / "lproxy.toml"
            config.write_text(file.read_text().replace(IDENTITY_FOLDER, str(home)))
            self.assertEqual((), read(str(config), found).problems, file)

    def test_sidecar(self) -> None:
        """The example has the sidecar as C{lproxy inject} makes it: python -m lproxy inject FILE renews it."""
        text = (self.folder / "base" / "deployment.yaml").read_text()
        self.assertEqual(text, injected(text, Settings()).text)

    def test_identity(self) -> None:
        """What the overlay adds for an identity is what C{lproxy inject} would."""
        text = (self.folder / "base" / "deployment.yaml").read_text()
        with_identity = next(yaml.safe_load_all(injected(text, Settings(identity_secret="web-identity")).text))
        spec = with_identity["spec"]["template"]["spec"]
        (proxy,) = (one for one in spec["initContainers"] if one["name"] == "lproxy")
        patch = yaml.safe_load((self.folder / "overlays" / "cert-manager" / "deployment.yaml").read_text())
        added = patch["spec"]["template"]["spec"]
        first, ours = added["initContainers"]
        self.assertEqual([one["name"] for one in spec["initContainers"]], [first["name"], ours["name"]])
        self.assertEqual(proxy["securityContext"]["runAsGroup"], ours["securityContext"]["runAsGroup"])
        for mount in ours["volumeMounts"]:
            self.assertIn(mount, proxy["volumeMounts"])
        for volume in added["volumes"]:
            self.assertIn(volume, spec["volumes"])

    def test_files(self) -> None:
        """Each file is what Kubernetes, or cert-manager, knows."""
        files = [one for one in sorted(self.folder.rglob("*.yaml")) if one.name != "kustomization.yaml"]
        self.assertGreater(len(files), 6)
        for file in files:
            if file.parent.name == "cert-manager" and file.name == "deployment.yaml":
                continue  # a part of one
            self.assertEqual([], complaints(file.read_text()), file)

    def pods(self) -> Iterator[tuple[str, dict[str, Any], Config]]:
        """Each folder's pods, and what lproxy in them is configured by."""
        for folder in ("base", "front"):
            files = sorted((self.folder / folder).glob("*.yaml"))
            found = (one for file in files for one in yaml.safe_load_all(file.read_text()))
            (deployment,) = (one for one in found if one["kind"] == "Deployment")
            config = read(str(self.folder / folder / "lproxy.toml"), plugins()).config
            assert config is not None
            yield folder, deployment["spec"]["template"], config

    def test_ports(self) -> None:
        """Each port that something is sent to is one that somebody listens on, and goes by one number everywhere."""
        for folder, template, config in self.pods():
            spec = template["spec"]
            containers = [*spec.get("initContainers", ()), *spec["containers"]]
            ports = [port for one in containers for port in one.get("ports", ())]
            numbers = {port["containerPort"] for port in ports}
            self.assertEqual(len(ports), len(numbers), folder)
            self.assertLessEqual(max(len(port["name"]) for port in ports), 15, "IANA's names are no longer")
            admin = int(config.admin.address.rpartition(":")[2])
            self.assertEqual(str(admin), template["metadata"]["annotations"]["prometheus.io/port"])
            (ours,) = (one for one in containers if one["name"] == "lproxy")
            said = {port["name"]: port["containerPort"] for port in ours["ports"]}
            self.assertEqual(admin, said.pop("lproxy-admin"))
            listeners = {int(one.address.rpartition(":")[2]) for one in config.listen}
            self.assertLessEqual(set(said.values()), listeners)
            text = "".join(path.read_text() for path in sorted((self.folder / folder).glob("*.yaml")))
            for document in yaml.safe_load_all(text):
                for port in sought(document):
                    self.assertIn(port, {port["name"] for port in ports} if isinstance(port, str) else numbers)

    def test_restricted(self) -> None:
        """
        All containers meet the Pod Security Standards' strictest profile, but for the one that sets rules: that
        has two capabilities, as root, and nothing more.
        """
        for folder, template, _ in self.pods():
            spec = template["spec"]
            self.assertFalse({"hostNetwork", "hostPID", "hostIPC"} & set(spec), folder)
            self.assertLessEqual(
                {next(iter(set(one) - {"name"})) for one in spec.get("volumes", ())}, {"configMap", "secret"}
            )
            for one in (*spec.get("initContainers", ()), *spec["containers"]):
                context = one["securityContext"]
                self.assertFalse(context["allowPrivilegeEscalation"])
                self.assertEqual(["ALL"], context["capabilities"]["drop"])
                self.assertEqual("RuntimeDefault", context["seccompProfile"]["type"])
                self.assertTrue(context["readOnlyRootFilesystem"])
                self.assertFalse([port for port in one.get("ports", ()) if "hostPort" in port])
                rules = one["name"] == "lproxy-init"
                self.assertEqual(["NET_ADMIN", "NET_RAW"] if rules else [], context["capabilities"].get("add", []))
                self.assertEqual((not rules, rules), (context["runAsNonRoot"], context["runAsUser"] == 0))

    def test_times(self) -> None:
        """A pod is not killed while it drains, by what its own configuration says."""
        for folder, template, config in self.pods():
            spec = template["spec"]
            hooks = [one.get("lifecycle", {}).get("preStop") for one in spec["containers"]]
            (before,) = (int(hook["exec"]["command"][1]) for hook in hooks if hook)
            ends = (config.inbound.stop_delay or 0) + config.inbound.drain
            self.assertGreater(spec["terminationGracePeriodSeconds"], before + ends, folder)

    def test_names(self) -> None:
        """cert-manager's objects lead to each other, and the files that they make are where lproxy looks."""
        home = self.folder / "overlays" / "cert-manager"
        found = [
            one
            for name in ("authority", "certificate")
            for one in yaml.safe_load_all((home / f"{name}.yaml").read_text())
        ]
        issuers = {one["metadata"]["name"]: one["spec"] for one in found if one["kind"] == "Issuer"}
        certificates = {one["metadata"]["name"]: one["spec"] for one in found if one["kind"] == "Certificate"}
        self.assertLessEqual({one["issuerRef"]["name"] for one in certificates.values()}, set(issuers))
        secrets = {one["secretName"]: one for one in certificates.values()}
        self.assertTrue(secrets[issuers["mesh"]["ca"]["secretName"]]["isCA"])
        patch = yaml.safe_load((home / "deployment.yaml").read_text())["spec"]["template"]
        (volume,) = patch["spec"]["volumes"]
        ours = secrets[volume["secret"]["secretName"]]
        self.assertEqual(volume["secret"]["secretName"], patch["metadata"]["annotations"]["lproxy/identity-secret"])
        config = tomllib.loads((home / "lproxy.toml").read_text())
        self.assertEqual(
            [f"{IDENTITY_FOLDER}/{name}" for name in ("ca.crt", "tls.crt", "tls.key")],
            [config["identity"][key] for key in ("trust", "certificate", "key")],
        )
        self.assertEqual(ours["uris"], [one["identity"] for one in config["services"].values()])

    def test_built(self) -> None:
        """kustomize makes a whole of each folder; what is selected is there, and images have our version."""
        require("kustomize")
        for folder in ("base", "front", "overlays/cert-manager"):
            done = run("kustomize", "build", self.folder / folder)
            self.assertEqual(0, done.returncode, done.stderr)
            self.assertEqual([], complaints(done.stdout))
            objects = {one["kind"]: one for one in yaml.safe_load_all(done.stdout)}
            template = objects["Deployment"]["spec"]["template"]
            labels, spec = template["metadata"]["labels"], template["spec"]
            self.assertEqual(labels, objects["Service"]["spec"]["selector"])
            self.assertEqual(labels, objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"])
            self.assertEqual(labels, objects["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"])
            self.assertIn(objects["ConfigMap"]["metadata"]["name"], str(spec["volumes"]))
            containers = [*spec.get("initContainers", []), *spec["containers"]]
            ours = {one["image"] for one in containers if one["name"].startswith("lproxy")}
            images = {f"registry.example/{name}:{lproxy.__version__}" for name in ("lproxy", "lproxy-init")}
            self.assertLessEqual(ours, images)
            self.assertEqual(Timeouts().drain + PRE_STOP + MARGIN, spec["terminationGracePeriodSeconds"])


def sought(value: Any) -> Iterator[int | str]:
    """Ports of a pod that a manifest sends somebody to: of Services, probes and network policies."""
    for key, below in value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ()):
        if key in ("httpGet", "tcpSocket") or isinstance(below, dict) and {"protocol", "port"} == set(below):
            yield below["port"]
        elif key == "targetPort":
            yield below
        else:
            yield from sought(below)
