# -*- test-case-name: tests.identity.test_show -*-
"""
C{lproxy identity show}: what a file holds, whether it verifies, and why not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from lproxy.identity import checks, names, pem
from lproxy.identity.checks import Usage
from lproxy.identity.material import Trust
from lproxy.identity.pem import MaterialError, Pem
from lproxy.identity.refusal import UNREADABLE, CertificateRefused, date
from lproxy.identity.refusal import names as names_of

#: the statuses of the command
GOOD, WARNING, ERROR = 0, 1, 2

USAGES = {
    ExtendedKeyUsageOID.SERVER_AUTH: "server",
    ExtendedKeyUsageOID.CLIENT_AUTH: "client",
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE: "any",
}


@dataclass
class Shown:
    """
    What there is to say of a file.

    @ivar status: the worst of it
    """

    lines: list[str] = field(default_factory=list)
    status: int = GOOD

    def say(self, label: str, text: str, status: int = GOOD) -> None:
        """Add a line. Names in certificates are somebody else's: nothing of them moves the cursor."""
        clean = "".join(c if c.isprintable() else "?" for c in text)
        self.lines.append(f"    {label:<10} {clean}")
        self.status = max(self.status, status)


def show(file: str, trust: Trust | None, now: datetime) -> Shown:
    """
    Look at C{file}.

    @param trust: whether what it holds leads to one of these
    """
    shown = Shown([f"{file}:"])
    try:
        held = pem.read(file)
    except MaterialError as error:
        return Shown([f"{error}"], ERROR)
    for number, one in enumerate(held.certificates, 1):
        shown.lines.append(f"  certificate {number}")
        _certificate(shown, one, now)
    if held.key is not None:
        _key(shown, held)
    if held.certificates:
        _verdict(shown, held, trust, now)
    return shown


def _certificate(shown: Shown, one: x509.Certificate, now: datetime) -> None:
    for label, text in _facts(one):
        shown.say(label, text)
    said = checks.dates(one, now)
    left = one.not_valid_after_utc - now
    life = one.not_valid_after_utc - one.not_valid_before_utc
    dates = f"{date(one.not_valid_before_utc)} to {date(one.not_valid_after_utc)}"
    if said is not None:
        shown.say("valid", f"{dates}: {said.reason.replace('_', ' ')}", ERROR)
    elif left * 3 < life:
        shown.say("valid", f"{dates}: {_span(left)} left, less than a third of its life", WARNING)
    else:
        shown.say("valid", f"{dates}: {_span(left)} left")


def _facts(one: x509.Certificate) -> Iterator[tuple[str, str]]:
    try:
        yield "names", ", ".join(names_of(one)) or "none"
        yield "subject", one.subject.rfc4514_string() or "empty"
        yield "issuer", one.issuer.rfc4514_string() or "empty"
    except (CertificateRefused, *UNREADABLE) as error:
        yield "unreadable", str(error)
    yield "serial", f"{one.serial_number:x}"
    yield "key", checks.kind(one)
    yield "usage", ", ".join(_usage(one)) or "any"
    yield "SHA-256", one.fingerprint(hashes.SHA256()).hex(":").upper()


def _usage(one: x509.Certificate) -> Iterator[str]:
    if is_authority(one):
        yield "authority"
    try:
        for usage in one.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value:
            yield USAGES.get(usage, usage.dotted_string)
    except x509.ExtensionNotFound:
        return


def is_authority(one: x509.Certificate) -> bool:
    """May it sign others?"""
    try:
        return one.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _span(left: timedelta) -> str:
    hours = int(left.total_seconds() // 3600)
    if hours >= 48:
        return f"{hours // 24} days"
    return f"{hours} hours" if hours >= 2 else f"{int(left.total_seconds() // 60)} minutes"


def _key(shown: Shown, held: Pem) -> None:
    assert held.key is not None
    shown.lines.append("  private key")
    shown.say("key", checks.kind(held.key))
    public = held.key.public_key()
    whose = [str(number) for number, one in enumerate(held.certificates, 1) if one.public_key() == public]
    if whose:
        shown.say("fits", f"certificate {whose[0]}", GOOD if whose[0] == "1" else ERROR)
    elif held.certificates:
        shown.say("fits", "no certificate in this file", ERROR)
    if held.public:
        shown.say("readable", f"by everybody on this machine: chmod o-r {held.file}", WARNING)


def _verdict(shown: Shown, held: Pem, trust: Trust | None, now: datetime) -> None:
    """What it is good for."""
    shown.lines.append("  verdict")
    anchors = all(map(is_authority, held.certificates))
    chain = held.certificates if anchors else checks.without_root(held.certificates)
    try:
        for one in chain:
            checks.valid(one, now)
        if not anchors:
            checks.ordered(chain)
        if trust is not None:
            for each in [[one] for one in chain] if anchors else [chain]:
                checks.leads_to(each, trust.anchors, now)
    except CertificateRefused as error:
        shown.say("verifies", f"no ({error.reason}): {error}", ERROR)
    else:
        shown.say("verifies", "yes" if trust is not None else "as far as can be told without --trust")
    if anchors:
        shown.say("good for", "trust: it is an authority's")
        return
    try:
        shown.say("identity", names.identity(held.certificates[0]))
    except CertificateRefused as error:
        shown.say("identity", f"none: {error}")
    shown.say("good for", ", ".join(_good_for(held.certificates)) or "nothing in TLS")


def _good_for(chain: Sequence[x509.Certificate]) -> Iterator[str]:
    leaf = chain[0]
    named: list[tuple[str, Usage]] = [
        ("[identity]", checks.BOTH),
        ("a listener's certificates", checks.SERVER),
        ("a service's certificate", checks.CLIENT),
    ]
    for where, usage in named:
        try:
            checks.usable(leaf, usage)
            if usage is checks.BOTH:
                names.identity(leaf)
            elif not names_of(leaf):
                continue
        except CertificateRefused:
            continue
        yield where
