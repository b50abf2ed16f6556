# -*- test-case-name: tests.profiles.test_names -*-
"""
Names of services in Kubernetes.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from lproxy.profiles.names import ServiceOf, service_of


class NamesTests(SynchronousTestCase):
    def test_service_of(self) -> None:
        """A service is known by its long names; others are no service's."""
        web = ServiceOf("web", "shop")
        for host in web.hosts()[:2]:
            self.assertEqual(web, service_of(host))
        self.assertEqual(ServiceOf("web", "shop", "my.domain"), service_of("web.shop.svc.my.domain"))
        for host in ("web", "web.shop", "web.example.com", "10.0.0.1", "a.b.svcs", ".b.svc", "a..svc"):
            self.assertIsNone(service_of(host), host)

    def test_hosts(self) -> None:
        """Clients write it longer or shorter; of an unknown namespace, only as it is."""
        self.assertEqual(("web.shop.svc.cluster.local", "web.shop.svc", "web.shop"), ServiceOf("web", "shop").hosts())
        self.assertEqual(("web", ()), (ServiceOf("web").host, ServiceOf("web").hosts()))
