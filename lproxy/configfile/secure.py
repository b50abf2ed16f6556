# -*- test-case-name: tests.configfile.test_secure -*-
"""
TLS and identity: settings that need each other or contradict each other.

What would leave a connection less secured than somebody may think, from what the file says, is an error.
Whether the files that are named hold what they should is found out when they are loaded (L{lproxy.app.secure}).
"""

from __future__ import annotations

from lproxy.config import Config, Listen, Service
from lproxy.configfile.pauses import pause
from lproxy.configfile.problem import Path, Report, show
from lproxy.configfile.table import Table

#: the settings of who may
POLICY = ("require_identity", "allow", "deny")
#: the settings of TLS to an ordinary server
ORDINARY = ("server_name", "ca", "certificate", "key")
IDENTITY_KEYS = ("trust", "certificate", "key")
NEEDS_IDENTITY = "needs [identity], with trust, certificate and key"


def check_secure(config: Config, top: Table, report: Report) -> None:
    """Report what contradicts itself in C{config}, which was read from C{top}."""
    check_identity(config, report)
    tables = top.get("listen")
    if isinstance(tables, list) and len(tables) == len(config.listen):
        for index, listen in enumerate(config.listen):
            check_listener(config, listen, ("listen", index), report)
    for name, service in config.services.items():
        pause()
        check_service(config, service, ("services", name), report)


def check_identity(config: Config, report: Report) -> None:
    """All three, or none."""
    given = {key: getattr(config.identity, key) for key in IDENTITY_KEYS}
    if not any(given.values()):
        return
    for key, value in given.items():
        if not value and not report.has_error(("identity", key)):
            report.error(("identity", key), "is missing", "an identity has all three: trust, certificate and key")
    terminated = any(config.tls(listen) in ("detect", "terminate") for listen in config.listen)
    if all(given.values()) and not terminated and not any(one.identity for one in config.services.values()):
        report.warning(
            ("identity",),
            "is unused: no listener terminates TLS, and no service has an identity",
            'write tls = "detect" for a listener, or identity = "NAME" for a service',
        )


def check_listener(config: Config, listen: Listen, path: Path, report: Report) -> None:
    """What a listener does about TLS, and what it needs for that."""
    tls = config.tls(listen)
    identity = bool(config.identity.certificate)
    if tls in ("detect", "terminate") and not listen.certificates and not identity:
        passthrough = ', or tls = "passthrough"' if tls == "detect" else ""
        report.error(
            (*path, "tls"),
            f"{show(tls)}, and there is no certificate to do so with",
            f"write certificates = [...], or [identity]{passthrough}",
        )
    if tls in ("off", "passthrough") and listen.certificates:
        report.error((*path, "certificates"), f"are unused with tls = {show(tls)}", 'write tls = "detect"')
    if tls == "passthrough" and listen.protocol not in (None, "tcp"):
        wrong = f"TLS that is passed on is no {listen.protocol} to anybody here"
        report.error((*path, "tls"), wrong, 'write tls = "detect" or "terminate", or leave protocol out')
    if listen.target == "sni" and tls == "off":
        right = 'write tls = "passthrough", or "detect" to terminate it, too'
        report.error((*path, "target"), '"sni" is known of TLS alone, which is not looked at here', right)
    check_policy(listen, path, identity, report)
    asked = [key for key in POLICY if getattr(listen, key)]
    if identity and asked and tls in ("off", "passthrough"):
        right = 'write tls = "detect" or "terminate"'
        report.error((*path, asked[0]), f"nobody can show an identity with tls = {show(tls)}", right)
    if listen.redirect_https:
        if listen.protocol not in (None, "http") or (listen.protocol is None and "http" not in listen.detect):
            report.warning((*path, "redirect_https"), "is unused: the listener speaks no http")
        elif tls == "terminate":
            report.warning((*path, "redirect_https"), "is unused: nobody is served without TLS here")


def check_service(config: Config, service: Service, path: Path, report: Report) -> None:
    """How connections to a service are secured."""
    identity = bool(config.identity.certificate)
    for key in ORDINARY:
        if not getattr(service, key):
            continue
        if service.identity:
            wrong = f"is for an ordinary server: one with an identity is known by {show(service.identity)} alone"
            report.error((*path, key), wrong, "leave out one of the two")
        elif not service.tls:
            report.error((*path, key), "says nothing without tls = true", "write it, or leave this out")
    if service.key and not service.certificate:
        report.error((*path, "key"), "is that of no certificate", "write certificate = FILE")
    if service.identity and not identity:
        report.error((*path, "identity"), NEEDS_IDENTITY, "who is spoken to wants to know who we are")
    check_policy(service, path, identity, report)


def check_policy(who: Listen | Service, path: Path, identity: bool, report: Report) -> None:
    """Whether anybody can be known whom C{who} wants to know."""
    asked = [key for key in POLICY if getattr(who, key)]
    if asked and not identity:
        report.error((*path, asked[0]), NEEDS_IDENTITY, "its trust says whose identities are believed")
