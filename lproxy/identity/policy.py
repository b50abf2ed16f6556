# -*- test-case-name: tests.identity.test_policy -*-
"""
Who may: what listeners and services say of identities, as a pure decision.

Asked once a connection for a listener, and once a request for a service.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from lproxy.errors import ProxyError
from lproxy.identity.names import Patterns


class IdentityRefused(ProxyError):
    """Whoever asks is not among those that may. Nothing is tried: neither another endpoint nor again."""

    layer, reason, flag, status = "policy", "identity_not_allowed", "ID", 403
    shed = True
    blames = False

    def __init__(self, target: object, identity: str) -> None:
        super().__init__(target)
        self.identity = identity

    def what(self) -> str:
        """Whom it refuses."""
        return f"is not for {self.identity}"


class IdentityRequired(IdentityRefused):
    """A client without an identity, where one is needed."""

    reason = "identity_required"

    def what(self) -> str:
        """What is missing."""
        return "is only for clients that prove an identity, with a certificate"


class IdentityDenied(IdentityRefused):
    """A client that is among those that may not."""

    reason = "identity_denied"

    def what(self) -> str:
        """Whom it refuses."""
        return f"is denied to {self.identity}"


KINDS: Final = {kind.reason: kind for kind in (IdentityRefused, IdentityRequired, IdentityDenied)}


class Policy:
    """
    What one listener or service says.

    C{deny} weighs more than C{allow}; an C{allow} that has entries is for nobody else, so it needs an identity.
    """

    def __init__(self, require: bool = False, allow: Iterable[str] = (), deny: Iterable[str] = ()) -> None:
        """
        @raise ValueError: a pattern that is none
        """
        self._allow = Patterns(allow)
        self._deny = Patterns(deny)
        self._require = require or bool(self._allow)
        #: whether it refuses anybody at all
        self.active = self._require or bool(self._deny)

    def __repr__(self) -> str:
        return f"Policy(require={self._require}, allow={self._allow}, deny={self._deny})"

    def judge(self, identity: str) -> str:
        """The reason why C{identity}, empty where it has none, is refused; empty where it is not."""
        if not self.active:
            return ""
        if not identity:
            return IdentityRequired.reason if self._require else ""
        if identity in self._deny:
            return IdentityDenied.reason
        if self._allow and identity not in self._allow:
            return IdentityRefused.reason
        return ""

    def refuse(self, target: object, identity: str) -> IdentityRefused | None:
        """The error for C{identity}, which wants C{target}; C{None} where it may."""
        reason = self.judge(identity)
        return KINDS[reason](target, identity) if reason else None


#: whoever it is
ANYBODY: Final = Policy()
