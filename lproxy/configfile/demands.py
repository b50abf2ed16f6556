# -*- test-case-name: tests.configfile.test_demands -*-
"""
What a protocol's own configuration demands of each listener that it is for.

A rule of a protocol that connections could pass by is worse than none; and a protocol may listen on ports of its own.
Both are found out when the file is read, not by clients.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lproxy.config import Listen
from lproxy.configfile.own import Refused
from lproxy.errors import one_line

#: no ports
NONE = range(0)


class Demands:
    """
    Subclass it for what C{configure} returns, to be asked about every listener that may speak the protocol: by
    C{lproxy check}, and again at the start.
    """

    __slots__ = ()

    def refuse(self, listen: Listen) -> Iterable[str]:
        """
        Why this configuration must not be used on C{listen}.

        @return: what is wrong and what would be right, each beginning with a key of the listener: C{detect: ...}
        """
        return ()

    def further_ports(self, listen: Listen) -> range:
        """Ports on the listener's own address that the protocol may listen on besides the listener's own."""
        return NONE


def refusals(value: object, listen: Listen) -> Iterator[tuple[str, str]]:
    """
    What C{value}, a plugin's configuration, has against C{listen}: key, perhaps empty, and message.

    What it raises is a refusal as well.
    """
    if not isinstance(value, Demands):
        return
    try:
        messages = [str(message) for message in value.refuse(listen)]
    except BaseException as error:
        messages = [one_line(f"cannot be judged: {type(error).__name__}: {error}")]
    for message in messages:
        key, colon, rest = message.partition(":")
        yield (key, rest.strip()) if colon and key.isidentifier() else ("", message)


def insist(value: object, listen: Listen) -> None:
    """Raise L{Refused} where C{value}, a plugin's configuration, has something against C{listen}."""
    messages = [f"{key}: {wrong}" if key else wrong for key, wrong in refusals(value, listen)]
    if messages:
        raise Refused(messages)


def ports_beside(value: object, listen: Listen) -> range:
    """The ports that C{value}, a plugin's configuration, wants besides the one of C{listen}."""
    if not isinstance(value, Demands):
        return NONE
    try:
        ports: object = value.further_ports(listen)
    except BaseException:  # what is wrong with it, its start says
        return NONE
    return ports if isinstance(ports, range) else NONE
