# -*- test-case-name: tests.configfile.test_admin -*-
"""
The admin server over TLS, and the log of secrets: what a file may say of them.
"""

from __future__ import annotations

from tests.configfile.case import FileTestCase, listener


class AdminTests(FileTestCase):
    def test_needs_certificate(self) -> None:
        """A key, or whom to trust, is for nothing without a certificate, and somebody thinks that it is secured."""
        for key in ("key", "client_ca"):
            self.says(listener() + f'[admin]\n{key} = "a.pem"', f"admin.{key}: is unused: without a certificate")
        self.good(listener() + '[admin]\ncertificate = "a.pem"\nkey = "a.key"\nclient_ca = "ca.pem"')

    def test_off(self) -> None:
        """There is nobody to show a certificate to."""
        off = listener() + '[admin]\naddress = ""\n'
        self.says(off + 'certificate = "a.pem"', "admin.certificate: is unused: there is no admin server")

    def test_hints(self) -> None:
        """What others call it."""
        self.says(listener() + "[admin]\ntls = true", 'write certificate = "FILE", and it speaks https alone')


class KeyLogTests(FileTestCase):
    def test_warning(self) -> None:
        """That secrets are written is said by each check."""
        self.says(listener() + '[key_log]\npath = "keys"', "key_log.path: the secrets of all TLS")
        self.good(listener() + '[key_log]\npath = ""')
