# -*- test-case-name: tests.sidecar.test_settings -*-
"""
How the sidecar of a pod is to be: each setting once, as an option of C{lproxy inject} and as an annotation of the pod.

The annotation C{lproxy/NAME} of a pod counts more than the option C{--NAME}, which is for all of a manifest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from lproxy.build import version
from lproxy.config import Timeouts
from lproxy.sidecar.iptables import VARIANTS
from lproxy.sidecar.redirect import UID, Ports, read_many_ports, read_subnets, read_uid

#: what our annotations begin with
PREFIX = "lproxy/"
#: annotations that are no settings: whether a pod gets a sidecar at all, and that it has one, of which version
INJECT, INJECTED = "inject", "injected"

#: of the configuration in our image: outbound, inbound, admin
PORTS = (4140, 4143, 4191)
#: seconds between a plain sidecar's being told to end and its SIGTERM, while load balancers and peers take note
PRE_STOP = 5
#: seconds that lproxy needs to end after it has drained
MARGIN = 5


def release() -> str:
    """The tag of our image: this version, without what tells builds of it apart."""
    return re.split(r"[ +]", version())[0]


@dataclass(frozen=True)
class Settings:
    """
    @ivar image: the proxy's
    @ivar init_image: with the programs of iptables; empty: C{image} with C{-init} before its tag
    @ivar image_pull_policy: of both; empty: as Kubernetes has it
    @ivar config_map: has the configuration under C{lproxy.toml}; empty: the image's own
    @ivar identity_secret: has C{tls.crt}, C{tls.key} and C{ca.crt}, as cert-manager makes them; empty: none
    @ivar native: whether it is an init container that goes on (Kubernetes 1.29), else one container more
    @ivar redirect: whether an init container sets the rules of iptables; else somebody else does
    @ivar iptables_variant: of the programs that set them; empty: what the image has as C{iptables}
    @ivar log_level: as C{LPROXY_LOG}; empty: lproxy's own
    @ivar grace: seconds that the pod has for its end, at least
    """

    image: str = ""
    init_image: str = ""
    image_pull_policy: str = ""
    config_map: str = ""
    identity_secret: str = ""
    native: bool = True
    redirect: bool = True
    iptables_variant: str = ""
    log_level: str = ""
    grace: int = int(Timeouts().drain) + PRE_STOP + MARGIN
    uid: int = UID
    outbound_port: int = PORTS[0]
    inbound_port: int = PORTS[1]
    admin_port: int = PORTS[2]
    inbound_ports: tuple[Ports, ...] = ()
    skip_inbound_ports: tuple[Ports, ...] = ()
    skip_outbound_ports: tuple[Ports, ...] = ()
    skip_subnets: tuple[IPv4Network | IPv6Network, ...] = ()
    cpu_request: str = "50m"
    cpu_limit: str = ""
    memory_request: str = "64Mi"
    memory_limit: str = "256Mi"


@dataclass(frozen=True)
class Setting:
    """
    @ivar field: of L{Settings}
    @ivar read: makes its value of a text; raises ValueError that says what is wrong
    @ivar what: for C{--help}
    @ivar shape: what its value is called there
    """

    field: str
    read: Callable[[str], Any]
    what: str
    shape: str


def _image(text: str) -> str:
    if not re.fullmatch(r"[\w][\w.:/@-]*", text):
        raise ValueError(f"{text!r} is no name of an image, as registry.example/lproxy:{release()}")
    return text


def _name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", text):
        raise ValueError(f"{text!r} is no name of an object of Kubernetes: small letters, digits, - and . between")
    return text


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise ValueError(f"{text!r} is no port, from 1 to 65535")
    return int(text)


def _switch(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(f"{text!r} is neither true nor false")
    return text == "true"


def _seconds(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"{text!r} is no number of whole seconds")
    return int(text)


def _quantity(text: str) -> str:
    if text and not re.fullmatch(r"[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?", text):
        raise ValueError(f"{text!r} is no quantity of Kubernetes, as 100m or 64Mi")
    return text


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"{text!r} is none of {', '.join(words)}")
        return text

    return read


SETTINGS: dict[str, Setting] = {
    setting.field.replace("_", "-"): setting
    for setting in (
        Setting("image", _image, "the proxy's (lproxy:VERSION)", "IMAGE"),
        Setting("init_image", _image, "with iptables (the same, with -init before its tag)", "IMAGE"),
        Setting("image_pull_policy", _one_of("Always", "IfNotPresent", "Never"), "of both", "POLICY"),
        Setting("config_map", _name, "has the configuration as lproxy.toml (else the image's own)", "NAME"),
        Setting("identity_secret", _name, "has tls.crt, tls.key and ca.crt, at /etc/lproxy/identity", "NAME"),
        Setting("native", _switch, "an init container that goes on, Kubernetes 1.29; else one container more", "BOOL"),
        Setting("redirect", _switch, "have an init container set the rules of iptables", "BOOL"),
        Setting("iptables_variant", _one_of(*VARIANTS), "nft or legacy, if not the image's own", "VARIANT"),
        Setting("log_level", _one_of("debug", "info", "warn", "error", "critical"), "LPROXY_LOG", "LEVEL"),
        Setting("grace", _seconds, "terminationGracePeriodSeconds, at least", "SECONDS"),
        Setting("uid", read_uid, "the user that the proxy runs as, and nothing else", "UID"),
        Setting("outbound_port", _port, "of the listener for what the application sends", "PORT"),
        Setting("inbound_port", _port, "of the listener for what it receives", "PORT"),
        Setting("admin_port", _port, "of the admin server", "PORT"),
        Setting("inbound_ports", read_many_ports, "the application's, if not all is for the proxy", "PORTS"),
        Setting("skip_inbound_ports", read_many_ports, "of the pod, reached without the proxy", "PORTS"),
        Setting("skip_outbound_ports", read_many_ports, "of others, connected to without the proxy", "PORTS"),
        Setting("skip_subnets", read_subnets, "connected to without the proxy", "CIDRS"),
        Setting("cpu_request", _quantity, "of the proxy", "QUANTITY"),
        Setting("cpu_limit", _quantity, "of the proxy (none)", "QUANTITY"),
        Setting("memory_request", _quantity, "of the proxy", "QUANTITY"),
        Setting("memory_limit", _quantity, "of the proxy", "QUANTITY"),
    )
}


def annotated(settings: Settings, annotations: Mapping[Any, Any]) -> Settings:
    """C{settings} as a pod's annotations have them; raises ValueError that begins with the annotation's name."""
    changes: dict[str, Any] = {}
    for name, value in annotations.items():
        if not isinstance(name, str) or not name.startswith(PREFIX):
            continue
        bare = name.removeprefix(PREFIX)
        if bare in (INJECT, INJECTED):
            continue
        setting = SETTINGS.get(bare)
        if setting is None:
            near = get_close_matches(bare, [INJECT, *SETTINGS], 1)
            hint = f"; did you mean {PREFIX}{near[0]}?" if near else ""
            raise ValueError(f"{name}: no annotation of lproxy{hint}")
        if not isinstance(value, str):
            raise ValueError(f'{name}: annotations are strings; write "{str(value).lower()}"')
        try:
            changes[setting.field] = setting.read(value)
        except ValueError as e:
            raise ValueError(f"{name}: {e}") from e
    return replace(settings, **changes)
