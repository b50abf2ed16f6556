# -*- test-case-name: tests.configfile.test_admin -*-
"""
C{[admin]} over TLS, and secrets that are written down.

Whether the files hold what they should is found out when they are loaded.
"""

from __future__ import annotations

from lproxy.config import Admin, KeyLog
from lproxy.configfile.problem import Report


def check_admin(admin: Admin, report: Report) -> None:
    """What the certificate needs, and what needs it."""
    for key, what in (("key", admin.key), ("client_ca", admin.client_ca)):
        if what and not admin.certificate:
            wrong = "is unused: without a certificate the admin server speaks plain HTTP"
            report.error(("admin", key), wrong, "write certificate = FILE, or leave this out")
    if admin.certificate and not admin.address:
        right = "write an address, or leave it out"
        report.warning(("admin", "certificate"), "is unused: there is no admin server", right)


def check_key_log(log: KeyLog, report: Report) -> None:
    """Nobody has it on by mistake."""
    if log.path:
        wrong = "the secrets of all TLS connections are written there: who reads it can read all that is captured"
        report.warning(("key_log", "path"), wrong, "leave it out but while you look for a mistake")
