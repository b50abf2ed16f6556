# -*- test-case-name: tests.identity.test_develop -*-
"""
C{lproxy identity init} and C{issue}: an authority in a folder, and certificates of it, for development and tests.

Nothing that is there is overwritten, unless somebody insists. What is written is whole before it has its name, so that
a proxy that looks at it meanwhile sees the old file or the new one.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from lproxy.identity import names, pem
from lproxy.identity.authority import BACK, Authority, Wanted, certificates_pem, key_pem, new_key
from lproxy.identity.pem import MaterialError
from lproxy.identity.refusal import date, title

#: the authority's files in its folder
TRUST, KEY = "ca.pem", "ca.key"
#: modes of files with certificates, and with keys
OPEN, SECRET = 0o644, 0o600

WILDCARD: Final = re.compile(r"\*\.(.+\..+)")


class CannotIssue(Exception):
    """It cannot be done, and nothing was written; in words for whoever asked."""


def init(folder: str, name: str, days: float, now: datetime, force: bool = False) -> list[str]:
    """
    Make an authority.

    @return: what to tell
    @raise CannotIssue: there is one already, or the folder cannot be written to
    """
    trust, key = Path(folder, TRUST), Path(folder, KEY)
    _free([trust, key], force, "whatever the authority there has issued would be worth nothing")
    authority = Authority.create(_common_name(name), now, _positive(days))
    _write(key, key_pem(authority.key), SECRET)
    _write(trust, certificates_pem([authority.certificate]), OPEN)
    return [
        f"{trust}: {title(authority.certificate)}, valid until {date(authority.certificate.not_valid_after_utc)}",
        f"{key}: its key; whoever has it can be anybody",
        f"next: lproxy identity issue {folder} NAME",
    ]


def issue(
    folder: str, wanted: Sequence[str], days: float, now: datetime, out: str | None = None, force: bool = False
) -> list[str]:
    """
    Make a certificate of the authority in C{folder}.

    @param wanted: the names that it is for: DNS names, SPIFFE IDs, IP addresses
    @param out: the folder to write it to, instead of the authority's
    @return: what to tell
    @raise CannotIssue: a name is none, there is no authority, or something cannot be written
    """
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", _names(wanted)[0].removeprefix(names.SPIFFE)).strip("-.") or "certificate"
    target = Path(folder if out is None else out)
    certificate_file, key_file = target / f"{stem}.pem", target / f"{stem}.key"
    authority = _authority(folder)
    _free([certificate_file, key_file], force, "they are in use somewhere, perhaps")
    last = authority.certificate.not_valid_after_utc
    if last <= now:
        raise CannotIssue(f"{folder}: its {title(authority.certificate)} has expired, on {date(last)}")
    until = min(now + timedelta(days=_positive(days)), last)
    key = new_key()
    since = max(now - BACK, authority.certificate.not_valid_before_utc)
    certificate = authority.sign(key, Wanted(_names(wanted), stem, since, until))
    _write(key_file, key_pem(key), SECRET)
    _write(certificate_file, certificates_pem([certificate]), OPEN)
    files = {"trust": Path(folder, TRUST), "certificate": certificate_file, "key": key_file}
    return [
        f"{certificate_file}: {title(certificate)}, valid until {date(until)}",
        f"{key_file}: its key",
        "",
        "[identity]",
        # a string in JSON is one in TOML
        *(f"{name} = {json.dumps(str(path.resolve()))}" for name, path in files.items()),
    ]


def _authority(folder: str) -> Authority:
    """The one in C{folder}."""
    try:
        certificates, key = pem.read(Path(folder, TRUST)).certificates, pem.read(Path(folder, KEY)).key
    except MaterialError as error:
        raise CannotIssue(f"{error}; lproxy identity init {folder} makes an authority") from error
    if not certificates or not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise CannotIssue(f"{folder}: {TRUST} and {KEY} are no certificate and key of an authority")
    if certificates[0].public_key() != key.public_key():
        raise CannotIssue(f"{folder}: {KEY} is not the key of {TRUST}")
    return Authority(certificates[0], key)


def _names(wanted: Sequence[str]) -> list[str]:
    """Names as they stand in a certificate."""
    found: list[str] = []
    for name in wanted:
        try:
            found.append(str(ipaddress.ip_address(name)))
            continue
        except ValueError:
            pass
        wild = WILDCARD.fullmatch(name)
        try:
            found.append(f"*.{names.canonical(wild[1])}" if wild else names.canonical(name))
        except ValueError as error:
            raise CannotIssue(str(error)) from error
    if sum(name.startswith(names.SPIFFE) for name in found) > 1:
        raise CannotIssue("a certificate with two SPIFFE IDs is nobody's: issue one for each")
    return list(dict.fromkeys(found))


def _common_name(name: str) -> str:
    if not name.strip() or not name.isprintable():
        raise CannotIssue(f"{name!r} is no name of an authority")
    return name


def _positive(days: float) -> float:
    # 2050 is where dates in certificates change their form (RFC 5280, 4.1.2.5); a century is enough for anybody
    if not 0 < days <= 36525:
        raise CannotIssue(f"{days:g} days: write more than none, and less than a century")
    return days


def _free(files: Sequence[Path], force: bool, why: str) -> None:
    there = [str(file) for file in files if file.exists()]
    if there and not force:
        raise CannotIssue(f"{' and '.join(there)}: there already; {why}; --force overwrites")


def _write(file: Path, data: bytes, mode: int) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        try:
            with open(descriptor, "wb") as opened:
                os.fchmod(descriptor, mode)
                opened.write(data)
            os.replace(name, file)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise CannotIssue(f"{file}: cannot be written: {error.strerror or error}") from error
