# -*- test-case-name: tests.identity.test_pem -*-
"""
Read PEM files whole: certificates and at most one key each, or an error that says which file and what is wrong.

What is read is half of a file now and then, while somebody writes it. So everything in it has to be complete.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from lproxy.identity.refusal import UNREADABLE

#: keys that a TLS certificate may be for
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey

#: bytes; a bundle with all public authorities has 200 KB
LIMIT: Final = 4 << 20

LINE: Final = re.compile(rb"^-----(BEGIN|END) ([A-Z0-9 ]+)-----[ \t\r]*$", re.M)
BEGIN: Final = b"-----BEGIN "
CERTIFICATES: Final = ("CERTIFICATE", "X509 CERTIFICATE")
KEYS: Final = ("PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY")
ENCRYPTED: Final = "ENCRYPTED PRIVATE KEY"


class MaterialError(Exception):
    """
    Certificates or keys that are not used.

    Its text has never anything of a key.

    @ivar file: where it was read
    @ivar reason: the word that it is counted under
    """

    def __init__(self, file: str, reason: str, text: str) -> None:
        super().__init__(f"{file}: {text}")
        self.file = file
        self.reason = reason


@dataclass(frozen=True)
class Pem:
    """
    What a file holds.

    @ivar public: whether others than its owner and group may read it
    """

    file: str
    certificates: tuple[x509.Certificate, ...]
    key: Key | None = field(repr=False)
    public: bool


def read(file: str | Path) -> Pem:
    """
    Read C{file}.

    @raise MaterialError: C{unreadable}, C{empty}, C{truncated}, C{not_pem}, C{bad_certificate}, C{bad_key},
        C{encrypted_key}
    """
    file = str(file)
    data, mode = _bytes(file)
    certificates: list[x509.Certificate] = []
    keys: list[Key] = []
    for label, section in _sections(file, data):
        if label in CERTIFICATES:
            certificates.append(_certificate(file, section, len(certificates) + 1))
        elif label in KEYS:
            keys.append(_key(file, section))
        elif label == ENCRYPTED:
            raise _encrypted(file)
    if len(keys) > 1:
        raise MaterialError(file, "bad_key", f"has {len(keys)} private keys; one is used")
    return Pem(file, tuple(certificates), keys[0] if keys else None, bool(mode & stat.S_IROTH))


def _bytes(file: str) -> tuple[bytes, int]:
    """What is in it, and its mode."""
    try:
        with open(file, "rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise MaterialError(file, "unreadable", "is no regular file")
            data = opened.read(LIMIT + 1)
    except OSError as error:
        raise MaterialError(file, "unreadable", f"cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # a NUL in its name
        raise MaterialError(file, "unreadable", f"cannot be read: {error}") from error
    if len(data) > LIMIT:
        raise MaterialError(file, "unreadable", f"has more than {LIMIT >> 20} MiB, which no certificate has")
    if not data.strip():
        raise MaterialError(file, "empty", "is empty; PEM is wanted")
    return data, mode


def _sections(file: str, data: bytes) -> list[tuple[str, bytes]]:
    """Label and text of each complete part."""
    found: list[tuple[str, bytes]] = []
    begun: tuple[str, int] | None = None
    end = 0
    for line in LINE.finditer(data):
        edge, label = line[1], line[2].decode("ascii")
        if edge == b"BEGIN":
            if begun is not None:
                break
            begun = (label, line.start())
        elif begun is None or begun[0] != label:
            raise MaterialError(file, "truncated", f"has an END of {label} without its BEGIN; is it complete?")
        else:
            found.append((label, data[begun[1] : line.end()]))
            begun, end = None, line.end()
    if begun is not None:
        raise MaterialError(file, "truncated", f"ends within a {begun[0]}: it has a BEGIN without its END")
    if BEGIN.startswith(data[end:].strip()[: len(BEGIN)] or b"?"):
        raise MaterialError(file, "truncated", "ends within a line that begins a further part")
    if not found:
        # of DER, the first byte is a SEQUENCE
        hint = "; it looks like DER: openssl x509 -inform der turns that into PEM" if data[:1] == b"\x30" else ""
        raise MaterialError(file, "not_pem", f"has nothing between -----BEGIN and -----END lines{hint}")
    return found


def _certificate(file: str, section: bytes, number: int) -> x509.Certificate:
    try:
        certificate = x509.load_pem_x509_certificate(section)
        # they are read when they are asked for, and then may raise
        _ = certificate.extensions, certificate.subject, certificate.issuer
        return certificate
    except UNREADABLE as error:
        raise MaterialError(file, "bad_certificate", f"certificate {number} cannot be read: {error}") from error


def _key(file: str, section: bytes) -> Key:
    # what the library says of a key that it cannot read is not told: it may have something of the key
    try:
        key = load_pem_private_key(section, None)
    except TypeError:
        raise _encrypted(file) from None
    except (ValueError, UnsupportedAlgorithm):
        raise MaterialError(file, "bad_key", "its private key cannot be read") from None
    if not isinstance(key, Key):
        raise MaterialError(file, "bad_key", f"a {type(key).__name__} does not sign for TLS; ECDSA, RSA or Ed25519 do")
    return key


def _encrypted(file: str) -> MaterialError:
    return MaterialError(
        file, "encrypted_key", "its private key has a password; a proxy that starts by itself needs one without"
    )
