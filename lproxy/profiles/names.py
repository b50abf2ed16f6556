# -*- test-case-name: tests.profiles.test_names -*-
"""
Names of services in Kubernetes: C{web.shop.svc.cluster.local}, and the shorter ones that clients write.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

#: where a cluster's services are, where nobody says another domain
DOMAIN: Final = "cluster.local"
_FQDN: Final = re.compile(r"([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)\.([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)\.svc(\..+)?")


class ServiceOf(NamedTuple):
    """
    A service of a cluster.

    @ivar namespace: empty: unknown
    """

    name: str
    namespace: str = ""
    domain: str = DOMAIN

    @property
    def host(self) -> str:
        """Its longest name: it alone where its namespace is unknown."""
        return f"{self.name}.{self.namespace}.svc.{self.domain}" if self.namespace else self.name

    def hosts(self) -> tuple[str, ...]:
        """What clients in any namespace call it, the longest first; its bare name is none of them."""
        if not self.namespace:
            return ()
        short = f"{self.name}.{self.namespace}"
        return self.host, f"{short}.svc", short


def service_of(host: str) -> ServiceOf | None:
    """The service that has C{host}, such a name in lower case; C{None} where it is no service's."""
    found = _FQDN.fullmatch(host)
    if found is None:
        return None
    return ServiceOf(found[1], found[2], (found[3] or f".{DOMAIN}")[1:])
