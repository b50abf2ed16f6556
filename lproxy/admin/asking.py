# -*- test-case-name: tests.admin.test_asking -*-
"""
Ask the admin server of another lproxy, and wait for the answer: for commands, and for who takes its place.
"""

from __future__ import annotations

import json
from typing import Any

#: bytes of an answer in which its reason is looked for
WORDS = 1_000


def ask(
    admin: str,
    page: str,
    seconds: float,
    ca: str | None = None,
    certificate: str | None = None,
    key: str | None = None,
) -> bytes:
    """As L{opened}, all of it."""
    with opened(admin, page, seconds, ca, certificate, key) as answer:
        said: bytes = answer.read()
        return said


def opened(
    admin: str,
    page: str,
    seconds: float | None,
    ca: str | None = None,
    certificate: str | None = None,
    key: str | None = None,
) -> Any:
    """
    What an admin server has to say, to be read; raises OSError, ValueError or HTTPException.

    @param admin: C{IP:port}, or a URL where it is not plain HTTP
    @param seconds: that it may say nothing; C{None}: for ever
    @param ca: and C{certificate}, C{key}: as for L{lproxy.transport.tls.asking.asking}, where it speaks https
    """
    # half of the time that a short command takes goes into such imports
    from urllib.request import BaseHandler, HTTPSHandler, ProxyHandler, build_opener

    # never by way of a proxy, which is what is asked
    handlers: list[BaseHandler] = [ProxyHandler({})]
    address = admin.rstrip("/") if "://" in admin else f"http://{admin}"
    if address.startswith("https:"):
        from lproxy.transport.tls.asking import asking

        handlers.append(HTTPSHandler(context=asking(ca, certificate, key)))
    return build_opener(*handlers).open(f"{address}/{page}", timeout=seconds)


class Conversation:
    """
    Questions to one admin server, one after the other, on one connection while that lasts: of several workers one has
    them all, and knows what was asked before.

    Arguments are those of L{opened}.
    """

    def __init__(
        self, admin: str, seconds: float, ca: str | None = None, certificate: str | None = None, key: str | None = None
    ) -> None:
        self._admin = admin
        self._seconds = seconds
        self._files = ca, certificate, key
        self._connection: Any = None

    def ask(self, page: str) -> bytes:
        """What C{page} says; raises as L{opened} does, and OSError with its words for any answer but 200."""
        from http.client import HTTPException

        if self._connection is not None:
            try:
                return self._asked(page)
            except (OSError, HTTPException):
                # it was idle for too long, or another has taken the place of whom it led to
                self.close()
        self._connection = self._connect()
        try:
            return self._asked(page)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """It is over."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _asked(self, page: str) -> bytes:
        self._connection.request("GET", f"/{page}")
        answer = self._connection.getresponse()
        said: bytes = answer.read()
        if answer.status != 200:
            raise OSError(said.decode("utf-8", "replace").strip() or answer.reason)
        return said

    def _connect(self) -> Any:
        from http.client import HTTPConnection, HTTPSConnection
        from urllib.parse import urlsplit

        url = urlsplit(self._admin if "://" in self._admin else f"http://{self._admin}")
        if url.scheme not in ("http", "https") or not url.netloc:
            raise ValueError(f"{self._admin} is no address: write IP:port, or https://IP:port")
        if url.scheme == "http":
            return HTTPConnection(url.netloc, timeout=self._seconds)
        from lproxy.transport.tls.asking import asking

        return HTTPSConnection(url.netloc, timeout=self._seconds, context=asking(*self._files))


def why(error: BaseException) -> str:
    """What has kept it from answering, for people: C{error} is one of those that L{ask} raises, or of its JSON."""
    from urllib.error import HTTPError, URLError

    if isinstance(error, HTTPError):
        # it says so itself: that it speaks https only, or whom it answers
        said: str = error.read(WORDS).decode("utf-8", "replace").partition("\n")[0].strip()
        return said or str(error)
    if isinstance(error, URLError) and isinstance(error.reason, OSError):
        error = error.reason
    if isinstance(error, (json.JSONDecodeError, LookupError, TypeError, AttributeError)):
        return "what is there is no admin server of lproxy"
    return (isinstance(error, OSError) and error.strerror) or str(error)
