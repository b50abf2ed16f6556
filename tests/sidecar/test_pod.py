# -*- test-case-name: tests.sidecar.test_pod -*-
"""
Tests for L{lproxy.sidecar.pod}.
"""

from __future__ import annotations

import copy
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.sidecar.manifest import Unreadable, shown
from lproxy.sidecar.pod import beside, inject, why_not
from lproxy.sidecar.redirect import Ports
from lproxy.sidecar.settings import Settings

OURS = ("lproxy-init", "lproxy")


def template(**spec: Any) -> dict[str, Any]:
    """What a pod is made by."""
    return {"spec": {"initContainers": [{"name": "early"}], "containers": [{"name": "web"}], **spec}}


def names(found: dict[str, Any], key: str) -> list[str]:
    return [one["name"] for one in found["spec"].get(key, [])]


class InjectTests(SynchronousTestCase):
    """A pod with its sidecar."""

    def injected(self, settings: Settings | None = None, job: bool = False, **spec: Any) -> dict[str, Any]:
        found = template(**spec)
        inject(found, settings or Settings(), job)
        return found

    def container(self, name: str, settings: Settings | None = None) -> dict[str, Any]:
        """One of ours."""
        found = self.injected(settings)["spec"]
        (container,) = [c for c in found["initContainers"] + found["containers"] if c["name"] == name]
        return container

    def test_native(self) -> None:
        """Rules and proxy come before all that would connect, and the proxy goes on."""
        found = self.injected()
        self.assertEqual([*OURS, "early"], names(found, "initContainers"))
        self.assertEqual(["web"], names(found, "containers"))
        self.assertEqual("Always", self.container("lproxy")["restartPolicy"])
        self.assertNotIn("lifecycle", self.container("lproxy"))
        self.assertNotIn("volumes", found["spec"])

    def test_plain(self) -> None:
        """A plain one and its rules come last of their lists; it goes on while others note that it ends."""
        settings = Settings(native=False)
        found = self.injected(settings)
        self.assertEqual(["early", "lproxy-init"], names(found, "initContainers"))
        self.assertEqual(["web", "lproxy"], names(found, "containers"))
        proxy = self.container("lproxy", settings)
        self.assertNotIn("restartPolicy", proxy)
        self.assertEqual(["sleep", "5"], proxy["lifecycle"]["preStop"]["exec"]["command"])

    def test_without_rules(self) -> None:
        """Where somebody else redirects, nobody here does."""
        self.assertEqual(["lproxy", "early"], names(self.injected(Settings(redirect=False)), "initContainers"))

    def test_probes(self) -> None:
        """The application waits for the proxy to be ready; one that is stuck is started anew, not one that drains."""
        proxy = self.container("lproxy", Settings(admin_port=9, config_map="c"))
        commands = [proxy[f"{kind}Probe"]["exec"]["command"] for kind in ("startup", "readiness", "liveness")]
        ask = ["lproxy", "probe", "127.0.0.1:9"]
        self.assertEqual([ask, ask, [*ask, "--live"]], commands)

    def test_rights(self) -> None:
        """No root, nothing to write, no capability; but the rules are root's, with two."""
        proxy, init = (self.container(name)["securityContext"] for name in ("lproxy", "lproxy-init"))
        self.assertEqual((4140, 4140, True), (proxy["runAsUser"], proxy["runAsGroup"], proxy["runAsNonRoot"]))
        self.assertEqual({"drop": ["ALL"]}, proxy["capabilities"])
        self.assertEqual((0, False), (init["runAsUser"], init["runAsNonRoot"]))
        self.assertEqual({"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW"]}, init["capabilities"])
        for context in (proxy, init):
            self.assertTrue(context["readOnlyRootFilesystem"])
            self.assertFalse(context["allowPrivilegeEscalation"])
            self.assertEqual("RuntimeDefault", context["seccompProfile"]["type"])

    def test_rules(self) -> None:
        """The init container says what C{lproxy iptables apply} is to do; the admin server is always reached."""
        settings = Settings(
            uid=9,
            skip_inbound_ports=(Ports(22, 22),),
            skip_outbound_ports=(Ports(25, 26),),
            inbound_ports=(Ports(80, 80),),
            iptables_variant="legacy",
        )
        args = self.container("lproxy-init", settings)["args"]
        said = "iptables apply --uid 9 --outbound-port 4140 --inbound-port 4143"
        said += " --inbound-ports 80 --skip-inbound-ports 22,4191 --skip-outbound-ports 25:26 --variant legacy"
        self.assertEqual(said.split(), args)

    def test_images(self) -> None:
        """The one with iptables is beside the proxy's, unless it is named."""
        for image, init in (
            ("lproxy:1", "lproxy-init:1"),
            ("reg:5000/a/lproxy", "reg:5000/a/lproxy-init"),
            ("reg:5000/lproxy:1@sha256:00", "reg:5000/lproxy-init:1"),
        ):
            self.assertEqual(init, beside(image))
        settings = Settings(image="a:1", init_image="b:2", image_pull_policy="Never")
        self.assertEqual(["b:2", "a:1"], [self.container(name, settings)["image"] for name in OURS])
        self.assertEqual(["Never"] * 2, [self.container(name, settings)["imagePullPolicy"] for name in OURS])

    def test_files(self) -> None:
        """Configuration and identity are mounted, read-only, the key for the proxy's group alone."""
        settings = Settings(config_map="conf", identity_secret="cert")
        spec = self.injected(settings, volumes=[{"name": "data"}])["spec"]
        self.assertEqual(
            [
                {"name": "data"},
                {"name": "lproxy-config", "configMap": {"name": "conf"}},
                {"name": "lproxy-identity", "secret": {"secretName": "cert", "defaultMode": 0o440}},
            ],
            spec["volumes"],
        )
        proxy = self.container("lproxy", settings)
        self.assertEqual(["run", "--json", "/etc/lproxy/config/lproxy.toml"], proxy["args"])
        self.assertEqual([True, True], [mount["readOnly"] for mount in proxy["volumeMounts"]])
        self.assertEqual(0, proxy["securityContext"]["runAsGroup"])

    def test_resources(self) -> None:
        """What it may use; what is empty is not limited."""
        proxy = self.container("lproxy", Settings(cpu_limit="1", memory_limit=""))
        self.assertEqual({"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "1"}}, proxy["resources"])

    def test_grace(self) -> None:
        """A pod has time to drain, and keeps what it has where that is more."""
        for has, gets in ((None, 35), (10, 35), (300, 300)):
            spec = {} if has is None else {"terminationGracePeriodSeconds": has}
            self.assertEqual(gets, self.injected(**spec)["spec"]["terminationGracePeriodSeconds"])

    def test_again(self) -> None:
        """A second time nothing changes, and other settings take the place of those before, native or not."""
        files = Settings(config_map="c", identity_secret="s", native=False)
        found = self.injected()
        for settings in (Settings(), files, files, Settings()):
            inject(found, settings)
            fresh = self.injected(settings)
            for key in ("containers", "initContainers"):
                self.assertEqual(fresh["spec"][key], found["spec"][key])
            self.assertEqual(fresh["spec"].get("volumes", []), found["spec"].get("volumes", []))
        before = copy.deepcopy(found)
        inject(found, Settings())
        self.assertEqual(before, found)


class RefusedTests(SynchronousTestCase):
    """What could not work is told before it is tried."""

    def refused(self, found: dict[str, Any], settings: Settings | None = None, job: bool = False) -> tuple[str, str]:
        before = copy.deepcopy(found)
        error = self.assertRaises(Unreadable, inject, found, settings or Settings(), job)
        self.assertEqual(before, found)
        return shown(error.path), str(error)

    def test_user(self) -> None:
        """An application that runs as the proxy's user would not be redirected."""
        context = {"securityContext": {"runAsUser": 4140}}
        path, said = self.refused(template(containers=[{"name": "web", **context}]))
        self.assertEqual("spec.containers[0].securityContext.runAsUser", path)
        self.assertIn("runs as user 4140, as the proxy does", said)
        self.assertEqual("spec.securityContext.runAsUser", self.refused(template(**context))[0])

    def test_ports(self) -> None:
        """Of two that listen on one port of a pod one ends, and a name of a port leads to one container."""
        for ports, settings, path, said in (
            ([{"containerPort": 80}, {"containerPort": 4143}], Settings(), "[1].containerPort", "lproxy/inbound-port,"),
            ([{"containerPort": 4191, "hostPort": 80}], Settings(), "[0].containerPort", "lproxy/admin-port,"),
            ([{"containerPort": 9}], Settings(outbound_port=9, config_map="c"), "[0].containerPort", "on port 9, too"),
            ([{"containerPort": 80, "name": "lproxy-admin"}], Settings(), "[0].name", "a port lproxy-admin is the"),
            ("80", Settings(), "", "expected a list, found a string"),
        ):
            for key in ("containers", "initContainers"):
                found = template(**{"containers": [{"name": "web"}], key: [{"name": "a", "ports": ports}]})
                at, why = self.refused(found, settings)
                self.assertEqual(f"spec.{key}[0].ports{path}", at)
                self.assertIn(said, why)
        inject(
            template(containers=[{"name": "web", "ports": [{"containerPort": 4191, "protocol": "UDP"}]}]), Settings()
        )

    def test_job(self) -> None:
        """A plain sidecar in a Job."""
        self.assertIn("would never let it end", self.refused(template(), Settings(native=False), job=True)[1])

    def test_named_alike(self) -> None:
        """A container of that name that is not ours is not overwritten."""
        path, said = self.refused(template(containers=[{"name": "web"}, {"name": "lproxy"}]))
        self.assertEqual("spec.containers[1].name", path)
        self.assertIn("did not put there", said)

    def test_together(self) -> None:
        """Settings that need another."""
        self.assertIn("takes a lproxy/config-map", self.refused(template(), Settings(identity_secret="s"))[1])
        self.assertIn("take a lproxy/config-map", self.refused(template(), Settings(inbound_port=1))[1])

    def test_malformed(self) -> None:
        """Values of the wrong kind, by their path."""
        for found, path in (
            ({}, "spec"),
            ({"metadata": {"annotations": []}, "spec": {"containers": [{"name": "x"}]}}, ""),
            ({"metadata": {"annotations": 7}, "spec": {"containers": [{"name": "x"}]}}, "metadata.annotations"),
            (template(containers=[]), "spec.containers"),
            (template(containers={"name": "web"}), "spec.containers"),
            (template(containers=["web"]), "spec.containers[0]"),
            (template(containers=[{"image": "web"}]), "spec.containers[0].name"),
            (template(volumes=[{}]), "spec.volumes[0].name"),
            (template(terminationGracePeriodSeconds="30"), "spec.terminationGracePeriodSeconds"),
        ):
            if path:
                self.assertEqual(path, self.refused(found)[0])


class WhyNotTests(SynchronousTestCase):
    """Who gets none."""

    def test_annotation(self) -> None:
        """Who does not want one, by an annotation of the pod or of what makes it."""
        no = {"lproxy/inject": "disabled"}
        self.assertEqual("lproxy/inject: disabled", why_not({**template(), "metadata": {"annotations": no}}, {}))
        self.assertEqual("lproxy/inject: disabled", why_not(template(), no))
        self.assertEqual("", why_not(template(), {"lproxy/inject": "enabled"}))
        error = self.assertRaises(Unreadable, why_not, template(), {"lproxy/inject": "no"})
        self.assertIn("'no' is neither enabled nor disabled", str(error))

    def test_network(self) -> None:
        """Who has the machine's own network, and who does not run on Linux."""
        self.assertIn("hostNetwork", why_not(template(hostNetwork=True), {}))
        self.assertIn("Linux", why_not(template(nodeSelector={"kubernetes.io/os": "windows"}), {}))
        self.assertIn("Linux", why_not(template(os={"name": "windows"}), {}))
        self.assertEqual("", why_not(template(nodeSelector={"kubernetes.io/os": "linux"}, hostNetwork=False), {}))
