# -*- test-case-name: tests.transport.tls.test_asking -*-
"""
TLS of Python's own kind, for commands that ask one question and wait for the answer: no reactor, no Twisted.
"""

from __future__ import annotations

import ssl


def asking(ca: str | None = None, certificate: str | None = None, key: str | None = None) -> ssl.SSLContext:
    """
    Who is believed, and who we are.

    @param ca: a PEM file of whom we believe; C{None}: whom OpenSSL does, which C{SSL_CERT_FILE} tells it
    @param certificate: a PEM file of ours, for a server that asks for one
    @param key: its key, where that is not in the same file
    @raise OSError: a file is not there, or not what it should be
    """
    for file in filter(None, (ca, certificate, key)):
        # OpenSSL does not say which file was missing
        with open(file, "rb"):
            pass
    context = ssl.create_default_context(cafile=ca)
    why = ""
    if certificate is not None:
        try:
            context.load_cert_chain(certificate, key)
        except ssl.SSLError as e:
            # which does not say of which file
            why = f"{certificate}: {e.reason or e} (with its key)"
    if why:
        raise OSError(why)
    return context
