# -*- test-case-name: tests.identity.test_material -*-
"""
What we prove who we are with, and whom we trust: files that were read whole and found good.

What a handshake would fail on later is checked here, with an error that says which certificate of which file.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from lproxy.identity import checks, names, pem
from lproxy.identity.pem import Key, MaterialError
from lproxy.identity.refusal import CertificateRefused, title
from lproxy.identity.refusal import names as names_of
from lproxy.stamp import Stamp, stamp

#: keys that lie beside a certificate, for each name that it may have
BESIDE = {"fullchain.pem": "privkey.pem"}
#: what files with certificates end with, in a folder
SUFFIXES = (".pem", ".crt", ".cer")


@dataclass(frozen=True)
class Trust:
    """
    Anchors: whoever they have signed is who it says.

    @ivar warnings: what is odd about them, a sentence each
    """

    files: tuple[str, ...]
    anchors: tuple[x509.Certificate, ...]
    warnings: tuple[str, ...] = ()

    @cached_property
    def fingerprint(self) -> str:
        """Another one whenever the anchors are others, in hexadecimal."""
        digest = hashes.Hash(hashes.SHA256())
        for one in sorted(anchor.fingerprint(hashes.SHA256()) for anchor in self.anchors):
            digest.update(one)
        return digest.finalize().hex()


@dataclass(frozen=True)
class Material:
    """
    A certificate of ours with its key.

    @ivar certificate: the path of its file
    @ivar key_file: the path of its key's, perhaps the same
    @ivar chain: itself first, then what leads to an anchor
    @ivar names: its subject alternative names
    @ivar identity: whose it is; empty where it proves no identity, as a frontend's
    @ivar warnings: what is odd about it, a sentence each
    """

    certificate: str
    key_file: str
    chain: tuple[x509.Certificate, ...]
    key: Key = field(repr=False)
    names: tuple[str, ...]
    identity: str
    warnings: tuple[str, ...] = ()

    @property
    def leaf(self) -> x509.Certificate:
        """The certificate itself."""
        return self.chain[0]

    @cached_property
    def not_before(self) -> datetime:
        """Since when all of the chain is valid."""
        return max(one.not_valid_before_utc for one in self.chain)

    @cached_property
    def not_after(self) -> datetime:
        """When the first of the chain expires."""
        return min(one.not_valid_after_utc for one in self.chain)

    @property
    def serial(self) -> str:
        """The serial number, in hexadecimal."""
        return f"{self.leaf.serial_number:x}"

    @cached_property
    def fingerprint(self) -> str:
        """Of chain and key together: another one whenever either is."""
        digest = hashes.Hash(hashes.SHA256())
        for one in self.chain:
            digest.update(one.fingerprint(hashes.SHA256()))
        return digest.finalize().hex()


def anchors(path: str, now: datetime) -> Trust:
    """
    Read anchors from a PEM file, or from all that a folder has.

    Those that have expired are left out with a warning, as bundles keep them for long.

    @raise MaterialError: none is left, or what L{pem.read} raises
    """
    files = _anchor_files(path)
    good: list[x509.Certificate] = []
    warnings: list[str] = []
    for file in files:
        found = pem.read(file)
        if not found.certificates:
            raise MaterialError(file, "no_certificate", "has no certificate")
        if found.key is not None:
            warnings.append(f"{file}: has a private key; whoever only trusts needs certificates alone")
        for one in found.certificates:
            said = checks.dates(one, now)
            if said is None:
                good.append(one)
            else:
                warnings.append(f"{file}: {said.text}; it is not trusted")
    if not good:
        raise MaterialError(path, "no_certificate", "; ".join(["has no certificate that is valid now", *warnings]))
    return Trust(tuple(files), tuple(dict.fromkeys(good)), tuple(warnings))


def system() -> tuple[Stamp | None, ...]:
    """Others whenever whom the system trusts may be others, by where Python's own OpenSSL looks for that."""
    paths = ssl.get_default_verify_paths()
    return stamp(paths.cafile or paths.openssl_cafile), stamp(paths.capath or paths.openssl_capath)


def _anchor_files(path: str) -> list[str]:
    folder = Path(path)
    if not folder.is_dir():
        return [path]
    files = [str(one) for one in _files(folder)]
    if not files:
        raise MaterialError(path, "no_certificate", f"has no file whose name ends with {', '.join(SUFFIXES)}")
    return files


def _files(folder: Path) -> list[Path]:
    """Those that may have certificates, in the order of their names; without the inner life of Kubernetes' volumes."""
    try:
        return sorted(one for one in folder.iterdir() if one.suffix in SUFFIXES and one.name[0] != ".")
    except OSError as error:
        raise MaterialError(str(folder), "unreadable", f"cannot be read: {error.strerror or error}") from error


def identity(certificate: str, key: str, trust: Trust, now: datetime) -> Material:
    """
    Read what proves our identity to other proxies, in both roles.

    @raise MaterialError: which file, which certificate, which check
    """
    return _checked(certificate, key, now, checks.BOTH, trust, whose=True)


def client(certificate: str, key: str, now: datetime) -> Material:
    """
    Read what is shown to a server that asks for it.

    @raise MaterialError: which file, which certificate, which check
    """
    return _checked(certificate, key or beside(certificate), now, checks.CLIENT, None)


def server(certificate: str, now: datetime, key: str = "") -> Material:
    """
    Read what a listener shows to ordinary clients.

    @param key: the path of the key; where it is empty, the key is in the same file, or beside it
    @raise MaterialError: which file, which certificate, which check
    """
    return _checked(certificate, key or beside(certificate), now, checks.SERVER, None)


def beside(certificate: str) -> str:
    """
    Where the key of C{certificate} is: C{NAME.key} for C{NAME.pem}, C{privkey.pem} for C{fullchain.pem}; the file
    itself where neither is there.
    """
    path = Path(certificate)
    other = path.with_name(BESIDE[path.name]) if path.name in BESIDE else path.with_suffix(".key")
    return str(other if other.exists() else path)


def servers(folder: str) -> list[str]:
    """
    The files of C{folder} that L{server} is to read: those with a certificate that have a key in or beside them.

    Others are left alone, such as the C{ca.crt} of a Kubernetes secret.

    @raise MaterialError: it cannot be read, or there is none
    """
    found: list[str] = []
    for one in _files(Path(folder)):
        held = pem.read(one)
        if held.certificates and (held.key is not None or beside(held.file) != held.file):
            found.append(held.file)
    if not found:
        raise MaterialError(folder, "no_certificate", "has no file with a certificate and its key in it or beside it")
    return found


def _checked(
    certificate: str, key: str, now: datetime, usage: checks.Usage, trust: Trust | None, whose: bool = False
) -> Material:
    held = pem.read(certificate)
    holds_key = held if key in ("", certificate) else pem.read(key)
    if not held.certificates:
        raise MaterialError(certificate, "no_certificate", "has no certificate")
    if holds_key.key is None:
        raise MaterialError(holds_key.file, "no_key", f"has no private key, which {certificate} needs")
    chain = checks.without_root(held.certificates)
    try:
        checks.key_fits(holds_key.key, chain, holds_key.file)
        for one in chain:
            checks.valid(one, now)
        checks.ordered(chain)
        checks.usable(chain[0], usage)
        if trust is not None:
            checks.leads_to(chain, trust.anchors, now)
        who = names.identity(chain[0]) if whose else ""
        found = names_of(chain[0])
        if not found:
            raise CertificateRefused("no_name", f"{title(chain[0])} has no subject alternative name")
    except CertificateRefused as error:
        raise MaterialError(certificate, error.reason, str(error)) from error
    warnings: list[str] = []
    if holds_key.public:
        warnings.append(f"{holds_key.file}: holds a private key, and everybody on this machine may read it: chmod o-r")
    return Material(certificate, holds_key.file, chain, holds_key.key, found, who, tuple(warnings))
