# -*- test-case-name: tests.sidecar.test_pod -*-
"""
A pod with the sidecar: two containers more, a volume for each file of theirs, and time to drain.

Native, which is an init container with C{restartPolicy: Always}, the proxy is ready before the application begins and
goes on until it has ended, and a Job's pod ends with its Job. Plain, it is a container beside the others.

All values here are those of Kubernetes' API, C{core/v1}.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

from lproxy.sidecar.manifest import Path, Unreadable, expect
from lproxy.sidecar.redirect import Ports
from lproxy.sidecar.settings import INJECT, INJECTED, PORTS, PRE_STOP, PREFIX, Settings, release

#: our containers
PROXY, INIT = "lproxy", "lproxy-init"
#: of these, what ports are called
INBOUND, ADMIN = "lproxy-inbound", "lproxy-admin"
#: our volumes, and where they are mounted
CONFIG, IDENTITY = "lproxy-config", "lproxy-identity"
CONFIG_FOLDER, IDENTITY_FOLDER = "/etc/lproxy/config", "/etc/lproxy/identity"
#: contrib/container/sidecar.toml, in the image
BUILT_IN = "/etc/lproxy/sidecar.toml"

CONTAINERS = ("containers", "initContainers")


def why_not(template: dict[str, Any], own: dict[str, Any]) -> str:
    """Why a pod gets no sidecar, or nothing; raises L{Unreadable}, its path from the template."""
    annotations = expect_annotations(template)
    for where in (annotations, own):
        word = where.get(PREFIX + INJECT)
        if word not in (None, "enabled", "disabled"):
            raise Unreadable(f"{PREFIX}{INJECT}: {word!r} is neither enabled nor disabled", ("metadata", "annotations"))
        if word == "disabled":
            return f"{PREFIX}{INJECT}: disabled"
    spec = expect(template.get("spec"), dict, ("spec",))
    if spec.get("hostNetwork") is True:
        return "hostNetwork: true, whose rules would be the whole machine's"
    for key, name in (("nodeSelector", "kubernetes.io/os"), ("os", "name")):
        system = spec.get(key)
        if isinstance(system, dict) and system.get(name, "linux") != "linux":
            return "it does not run on Linux"
    return ""


def inject(template: dict[str, Any], settings: Settings, job: bool = False) -> None:
    """
    Put the sidecar into what pods are made by, or, where there is one of ours, the sidecar as it is to be now.

    @param template: C{metadata} and C{spec}; changed
    @param settings: with the pod's annotations
    @param job: whether it is to end by itself
    @raise Unreadable: it is none, or cannot have one; its path is from the template
    """
    check(template, settings, job)
    spec = template["spec"]
    metadata = template["metadata"] = dict(template.get("metadata") or {})
    metadata["annotations"] = {**(metadata.get("annotations") or {}), PREFIX + INJECTED: release()}
    lists = {key: [one for one in spec.get(key) or [] if one["name"] not in (PROXY, INIT)] for key in CONTAINERS}
    first = [init(settings)] if settings.redirect else []
    if settings.native:
        lists["initContainers"] = [*first, proxy(settings), *lists["initContainers"]]
    else:
        # those before it have the network as it is without the proxy, which does not run yet
        lists["initContainers"] += first
        lists["containers"].append(proxy(settings))
    volumes = [one for one in spec.get("volumes") or [] if one["name"] not in (CONFIG, IDENTITY)] + list(
        needed(settings)
    )
    said: dict[str, Any] = {}
    for key, value in spec.items():
        if key == "containers" and "initContainers" not in spec and lists["initContainers"]:
            said["initContainers"] = lists["initContainers"]
        said[key] = lists.get(key, value)
    if volumes or "volumes" in spec:
        said["volumes"] = volumes
    grace = spec.get("terminationGracePeriodSeconds")
    said["terminationGracePeriodSeconds"] = max(30 if grace is None else grace, settings.grace)
    template["spec"] = said


def expect_annotations(template: dict[str, Any]) -> dict[str, Any]:
    """Of what pods are made by."""
    metadata = expect(template.get("metadata") or {}, dict, ("metadata",))
    return expect(metadata.get("annotations") or {}, dict, ("metadata", "annotations"))


def check(template: dict[str, Any], settings: Settings, job: bool) -> None:
    """Refuse what could not work; raises L{Unreadable}."""
    ours = PREFIX + INJECTED in expect_annotations(template)
    spec = expect(template.get("spec"), dict, ("spec",))
    users: list[tuple[Any, Path]] = [(spec.get("securityContext"), ("spec",))]
    if not spec.get("containers"):
        raise Unreadable("a pod has at least one container", ("spec", "containers"))
    for key in CONTAINERS:
        for place, one in enumerate(expect(spec.get(key) or [], list, ("spec", key))):
            at: Path = ("spec", key, place)
            name = expect(expect(one, dict, at).get("name"), str, (*at, "name"))
            if name in (PROXY, INIT):
                if not ours:
                    raise Unreadable(f"a container {name} that lproxy inject did not put there", (*at, "name"))
            else:
                users.append((one.get("securityContext"), at))
                expect_free(one, settings, at)
    for place, one in enumerate(expect(spec.get("volumes") or [], list, ("spec", "volumes"))):
        at = ("spec", "volumes", place)
        expect(expect(one, dict, at).get("name"), str, (*at, "name"))
    grace = spec.get("terminationGracePeriodSeconds")
    if grace is not None and (isinstance(grace, bool) or not isinstance(grace, int)):
        raise Unreadable("expected a number of seconds", ("spec", "terminationGracePeriodSeconds"))
    for context, at in users:
        if isinstance(context, dict) and context.get("runAsUser") == settings.uid:
            raise Unreadable(
                f"runs as user {settings.uid}, as the proxy does: what it sends would not be redirected; "
                f"{PREFIX}uid is the proxy's",
                (*at, "securityContext", "runAsUser"),
            )
    if job and not settings.native:
        raise Unreadable(f'a plain sidecar would never let it end; {PREFIX}native: "true" does')
    if settings.identity_secret and not settings.config_map:
        raise Unreadable(f"{PREFIX}identity-secret takes a {PREFIX}config-map, whose [identity] uses it")
    ports = listeners(settings)
    for name, other in combinations(ports, 2):
        if ports[name] == ports[other]:
            raise Unreadable(f"{PREFIX}{name} and {PREFIX}{other} are both {ports[name]}")
    if tuple(ports.values()) != PORTS and not settings.config_map:
        usual = ", ".join(map(str, PORTS))
        raise Unreadable(f"ports other than {usual} take a {PREFIX}config-map, whose listeners have them")


def listeners(settings: Settings) -> dict[str, int]:
    """The proxy's ports, by what sets them."""
    return {
        "outbound-port": settings.outbound_port,
        "inbound-port": settings.inbound_port,
        "admin-port": settings.admin_port,
    }


def expect_free(container: dict[str, Any], settings: Settings, at: Path) -> None:
    """All containers of a pod have one address: refuse a port of somebody else's that is the proxy's, or called so."""
    ports = expect(container.get("ports") or [], list, (*at, "ports"))
    for place, one in enumerate(ports):
        here: Path = (*at, "ports", place)
        if expect(one, dict, here).get("name") in (INBOUND, ADMIN):
            raise Unreadable(f"a port {one['name']} is the proxy's", (*here, "name"))
        if one.get("protocol") not in (None, "TCP"):
            continue
        for name, port in listeners(settings).items():
            if one.get("containerPort") == port:
                raise Unreadable(
                    f"the proxy listens on port {port}, too; {PREFIX}{name}, with a {PREFIX}config-map, has it listen "
                    "on another",
                    (*here, "containerPort"),
                )


def proxy(settings: Settings) -> dict[str, Any]:
    """The container of the proxy."""
    container: dict[str, Any] = {"name": PROXY, "image": settings.image or f"lproxy:{release()}", **_pulled(settings)}
    container["args"] = ["run", "--json", f"{CONFIG_FOLDER}/lproxy.toml" if settings.config_map else BUILT_IN]
    if settings.native:
        container["restartPolicy"] = "Always"
    if settings.log_level:
        container["env"] = [{"name": "LPROXY_LOG", "value": settings.log_level}]
    container["ports"] = [
        {"name": INBOUND, "containerPort": settings.inbound_port},
        {"name": ADMIN, "containerPort": settings.admin_port},
    ]
    ask = ["lproxy", "probe", f"127.0.0.1:{settings.admin_port}"]
    # the first is what the application's start waits for
    container["startupProbe"] = _probe(ask, periodSeconds=1, failureThreshold=60)
    container["readinessProbe"] = _probe(ask, periodSeconds=10, failureThreshold=2)
    container["livenessProbe"] = _probe([*ask, "--live"], periodSeconds=20, failureThreshold=3)
    if not settings.native:
        container["lifecycle"] = {"preStop": {"exec": {"command": ["sleep", str(PRE_STOP)]}}}
    container["resources"] = _resources(settings)
    # a secret's files belong to root and to its group
    group = 0 if settings.identity_secret else settings.uid
    container["securityContext"] = _confined(runAsUser=settings.uid, runAsGroup=group, runAsNonRoot=True)
    mounts = []
    if settings.config_map:
        mounts.append({"name": CONFIG, "mountPath": CONFIG_FOLDER, "readOnly": True})
    if settings.identity_secret:
        mounts.append({"name": IDENTITY, "mountPath": IDENTITY_FOLDER, "readOnly": True})
    if mounts:
        container["volumeMounts"] = mounts
    return container


def init(settings: Settings) -> dict[str, Any]:
    """The container that has the kernel redirect connections, and ends."""
    args = ["iptables", "apply", "--uid", str(settings.uid)]
    args += ["--outbound-port", str(settings.outbound_port), "--inbound-port", str(settings.inbound_port)]
    skip = (*settings.skip_inbound_ports, Ports(settings.admin_port, settings.admin_port))
    for option, values in (
        ("inbound_ports", settings.inbound_ports),
        ("skip_inbound_ports", skip),
        ("skip_outbound_ports", settings.skip_outbound_ports),
        ("skip_subnets", settings.skip_subnets),
    ):
        if values:
            args += [f"--{option.replace('_', '-')}", ",".join(map(str, values))]
    if settings.iptables_variant:
        args += ["--variant", settings.iptables_variant]
    return {
        "name": INIT,
        "image": settings.init_image or beside(settings.image or f"lproxy:{release()}"),
        **_pulled(settings),
        "args": args,
        # iptables-legacy wants a file to lock, and there is no other place to write
        "env": [{"name": "XTABLES_LOCKFILE", "value": "/dev/shm/xtables.lock"}],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}},
        # the rules are root's to change, with those two rights and no others
        "securityContext": _confined(["NET_ADMIN", "NET_RAW"], runAsUser=0, runAsGroup=0, runAsNonRoot=False),
    }


def beside(image: str) -> str:
    """C{registry:5000/lproxy-init:1} of C{registry:5000/lproxy:1}; a digest is the proxy's alone."""
    bare = image.partition("@")[0]
    folder, slash, name = bare.rpartition("/")
    name, colon, tag = name.partition(":")
    return f"{folder}{slash}{name}-init{colon}{tag}"


def needed(settings: Settings) -> list[dict[str, Any]]:
    """The volumes."""
    volumes: list[dict[str, Any]] = []
    if settings.config_map:
        volumes.append({"name": CONFIG, "configMap": {"name": settings.config_map}})
    if settings.identity_secret:
        volumes.append({"name": IDENTITY, "secret": {"secretName": settings.identity_secret, "defaultMode": 0o440}})
    return volumes


def _pulled(settings: Settings) -> dict[str, str]:
    return {"imagePullPolicy": settings.image_pull_policy} if settings.image_pull_policy else {}


def _probe(command: list[str], **times: int) -> dict[str, Any]:
    """A program starts for each: once in a while, and with time on a busy machine."""
    return {"exec": {"command": command}, "timeoutSeconds": 5, **times}


def _resources(settings: Settings) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind in ("request", "limit"):
        values = {"cpu": settings.cpu_request, "memory": settings.memory_request}
        if kind == "limit":
            values = {"cpu": settings.cpu_limit, "memory": settings.memory_limit}
        values = {key: value for key, value in values.items() if value}
        if values:
            found[f"{kind}s"] = values
    return found


def _confined(capabilities: list[str] | None = None, **user: Any) -> dict[str, Any]:
    """No more rights than those."""
    allowed = {"drop": ["ALL"]} if capabilities is None else {"drop": ["ALL"], "add": capabilities}
    return {
        **user,
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "capabilities": allowed,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
