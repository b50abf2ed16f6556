# -*- test-case-name: tests.explain.test_listing -*-
"""
C{lproxy routes}.
"""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lproxy.config import Config, ProfileFiles, Service
from lproxy.explain.listing import lines, of_config, of_files
from lproxy.profile import Fields, Method, Profile, RetryBudget, Route, RouteTimeouts
from tests.profiles.case import HTTP, SP

SERVICE = """\
web.shop.svc.cluster.local: 1 route, ServiceProfile web.shop.svc.cluster.local ({file})
  1  a
     if               method GET
"""
ROUTES = "  routes: [{name: a, condition: {method: GET}}]\n"


class ListingTests(SynchronousTestCase):
    maxDiff = None

    def setUp(self) -> None:
        self.file = Path(self.mktemp()).with_suffix(".yaml")

    def test_of_files(self) -> None:
        """A file's profiles, by service, each with its routes in the order in which they are asked."""
        matches = "".join(f"  - {{name: {one[-1]}, matches: [{{path: {{value: {one}}}}}]}}\n" for one in ("/b", "/b/c"))
        rules = f"  rules:\n{matches}"
        other = HTTP.replace("name: web,", "name: other,").replace("name: web\n", "name: r\n")
        self.file.write_text(f"{SP}{ROUTES}---\n{other}{rules}")
        found, problems = of_files([str(self.file)])
        self.assertEqual([], problems)
        self.assertEqual(
            SERVICE.format(file=self.file)
            + f"""
other.shop.svc.cluster.local:80: 3 routes, HTTPRoute r ({self.file})
  1  r/c
     if               path is /b/c or below
  2  r/b
     if               path is /b or below
  3  unmatched
     if               every request
     answer           404, 49 bytes of text/plain; charset=utf-8
""",
            "\n".join(found),
        )

    def test_apart(self) -> None:
        """The longest of words stands apart from what it says."""
        route = Route("r", response=Fields(remove=("server",)))
        self.assertIn("     response fields  server removed", list(lines("a:80", Profile((route,)))))

    def test_hosts(self) -> None:
        """Routes of gateways are listed by the hosts that they name."""
        self.file.write_text(
            HTTP.partition("spec:")[0] + "spec:\n  hostnames: [a.example, '*.example']\n  rules: [{name: x}]\n"
        )
        found, _ = of_files([str(self.file)])
        heads = [line.partition(",")[0] for line in found if line[:1] not in ("", " ")]
        self.assertEqual(["a.example: 2 routes", "*.example: 2 routes"], heads)

    def test_ports(self) -> None:
        """What is said of one port and what of all is listed apart: the latter is not what holds for the former."""
        every = HTTP.replace(", port: 80", "").replace("name: web\n", "name: every\n")
        self.file.write_text(f"{HTTP}  rules: [{{name: x}}]\n---\n{every}  rules: [{{name: y}}]\n")
        found, _ = of_files([str(self.file)])
        heads = [line.partition(",")[0] for line in found if line[:1] not in ("", " ")]
        host = "web.shop.svc.cluster.local"
        self.assertEqual([f"{host}:80: 3 routes", f"{host}: 2 routes"], heads)

    def test_wrong(self) -> None:
        """What is wrong with a file is told."""
        self.file.write_text(SP + "  rotues: []\n")
        found, (problem,) = of_files([str(self.file)])
        self.assertEqual([], found)
        self.assertIn("unknown field", str(problem))

    def test_of_config(self) -> None:
        """A configuration's own tables come first, then the files that it names."""
        self.file.write_text(SP + ROUTES)
        profile = Profile(
            tuple(Route(f"r{n}", Method("GET"), timeouts=RouteTimeouts(stream=1.0)) for n in range(10)), RetryBudget()
        )
        config = Config(
            services={"api:80": Service(name="api:80", profile=profile), "plain:80": Service(name="plain:80")},
            profiles=ProfileFiles((str(self.file),)),
        )
        found = list(of_config(config))
        self.assertEqual("api:80: 10 routes", found[0])
        self.assertEqual("    retry budget     20 % of the requests of 10s, and 10 a second", found[1])
        self.assertEqual(
            ["   1  r0", "      if               method GET", "      timeouts         1s in all"], found[2:5]
        )
        self.assertIn("  10  r9", found)
        self.assertTrue("\n".join(found).endswith(SERVICE.format(file=self.file)))
