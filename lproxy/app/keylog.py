# -*- test-case-name: tests.app.test_keylog -*-
"""
The secrets of TLS connections, written down: what SSLKEYLOGFILE makes of other programs, as Wireshark reads it.

Only where a setting of its own asks for it, and never without a line in the log.
"""

from __future__ import annotations

import os

from lproxy.app.log import log


class KeyLogFile:
    """
    A file that secrets are appended to, each in a line, which nobody but its owner may read.

    Raises OSError where it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def __call__(self, line: bytes) -> None:
        """Write one; what cannot be written is lost, and no connection with it."""
        if self._fd >= 0:
            try:
                os.write(self._fd, line + b"\n")
            except OSError:
                pass

    def tell(self) -> None:
        """Say that this is going on."""
        log.warn("key_log.path: the secrets of all TLS connections are written to {path}", path=self._path)

    def close(self) -> None:
        """Write no more; connections that are still open have nothing to tell."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
