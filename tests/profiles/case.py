# -*- test-case-name: tests.profiles -*-
"""
What the tests of profiles' files share.
"""

from __future__ import annotations

from textwrap import dedent

from twisted.trial.unittest import SynchronousTestCase

from lproxy.profiles.described import Described, OfRoutes, OfService
from lproxy.profiles.read import Pages, Within, read

SP = """\
apiVersion: linkerd.io/v1alpha2
kind: ServiceProfile
metadata:
  name: web.shop.svc.cluster.local
  namespace: shop
spec:
"""

HTTP = """\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: web
  namespace: shop
spec:
  parentRefs: [{group: "", kind: Service, name: web, port: 80}]
"""

GRPC = HTTP.replace("HTTPRoute", "GRPCRoute")


def indented(text: str, blanks: int = 2) -> str:
    """C{text}, as part of a document."""
    return "".join(f"{' ' * blanks}{line}\n" for line in dedent(text).strip("\n").split("\n"))


class PagesTestCase(SynchronousTestCase):
    def read(self, text: str, within: Within | None = None) -> Pages:
        return read("f", text.encode(), within or Within())

    def all_of(self, text: str, within: Within | None = None) -> tuple[Described, ...]:
        """What C{text} describes, with nothing wrong or odd about it."""
        pages = self.read(text, within)
        self.assertEqual([], [str(problem) for problem in pages.problems])
        return pages.described

    def one(self, text: str) -> OfService:
        (found,) = self.all_of(text)
        assert isinstance(found, OfService)
        return found

    def routes(self, text: str) -> OfRoutes:
        (found,) = self.all_of(text)
        assert isinstance(found, OfRoutes)
        return found

    def says(self, text: str, *lines: str) -> None:
        """All problems of C{text}, in order; with an error nothing is described."""
        pages = self.read(text)
        self.assertEqual(list(lines), [str(problem) for problem in pages.problems])
        if pages.errors:
            self.assertEqual((), pages.described)
