# -*- test-case-name: tests.configfile.test_hints -*-
"""
What users of other proxies write, and what they are told.
"""

from __future__ import annotations

from lproxy.config import Limits, Listen, Service, Timeouts
from lproxy.configfile import load, read_own
from lproxy.configfile.hints import HINTS, hint
from lproxy.configfile.kinds import settings
from lproxy.configfile.load import plain_sections
from lproxy.configfile.own import Refused
from lproxy.configfile.profile.keys import ROUTE
from lproxy.configfile.services import OTHERS
from tests.configfile.case import LISTEN, FileTestCase


class HintTests(FileTestCase):
    def test_tables(self) -> None:
        """Tables that other proxies have are answered with what does their work here."""
        for name, says in {
            "retries": "where it does no harm, a request is repeated on another endpoint anyway; more is a route's",
            "routes": "HTTP is routed by its Host to [services] or DNS",
            "health_check": 'with health = { path = "/healthz" }',
            "healthCheck": "one that fails is passed over and tried again",
            "upstreams": 'endpoints stand in [services."NAME"]',
            "frontend": "each listener is a table [[listen]]",
            "tls": "certificates = [...] in [[listen]]",
            "logging": "LPROXY_LOG sets the level",
            "rate-limit": "limits.in_flight bounds requests",
        }.items():
            for text in (f"[{name}]\nx = 1", f"[[{name}]]", f"[{name}.x]", f"{name} = 1"):
                self.says(text, f"f:1: {name}: unknown {'key' if '=' in text and '[' not in text else 'table'}; ")
                self.says(text, says)

    def test_keys(self) -> None:
        """A key is answered by the table that it stands in, not by the nearest name anywhere."""
        for text, says in {
            '[timeouts]\nidle = "3s"': 'did you mean "client_idle", "upstream_idle" or "service_idle"?',
            '[timeouts.inbound]\nidle = "3s"': 'did you mean "client_idle", "upstream_idle" or "service_idle"?',
            '[timeouts]\nread = "3s"': 'did you mean "header_read" or "body" (of a request), or "response_headers"?',
            '[timeouts]\nrequest = "3s"': "the limit on a whole request and its response is timeouts.stream",
            '[timeouts]\nread_timeout = "3s"': 'did you mean "header_read" or "body" (of a request)',
            '[timeouts]\nwrite_timeout = "3s"': 'did you mean "write"?',
            '[timeouts]\nstream = "off"': '"off" is no duration; write "none" to turn it off',
            "[timeouts]\nbody = 0": '0 is no duration; write "none" to turn it off',
            "[admin]\nenabled = false": 'address = "" turns it off',
            f"{LISTEN}[listen.timeouts]": "timeouts are those of a direction: [timeouts], [timeouts.inbound]",
            f"{LISTEN}[listen.limits]": "limits are those of the whole proxy: [limits]",
            f"{LISTEN}accept_proxy = true": 'did you mean proxy_protocol = "require"?',
            f"{LISTEN}port = 80": 'write IP and port as one: address = "127.0.0.1:4140"',
            '[services."a:80"]\nendpoints = ["127.0.0.1:1"]\naddress = ""': 'did you mean "endpoints"?',
            '[services."a:80"]\nendpoints = ["127.0.0.1:1"]\nweight = 3': "weights and zones are an endpoint's",
            "[metrics]\nport = 9090": "served at [admin] address",
        }.items():
            self.says(text, says)

    def test_value_for_table(self) -> None:
        """A value in the place of a whole table is shown below its header."""
        for text, says in {
            'access_log = "a.log"': 'write [access_log], and below it path = "a.log"',
            'admin = "127.0.0.1:1"': 'write [admin], and below it address = "127.0.0.1:1"',
            'dns = "10.0.0.2:53"': 'write [dns], and below it servers = ["10.0.0.2:53"]',
            'services."a:80" = "127.0.0.1:1"': 'write [services."a:80"], and below it endpoints = ["127.0.0.1:1"]',
            'services."a:80" = ["127.0.0.1:1"]': 'write [services."a:80"], and below it endpoints = ["127.0.0.1:1"]',
            "access_log = true": "write [access_log], and below it its keys",
        }.items():
            errors = [str(problem) for problem in load(text, "f", {}).problems if problem.severity == "error"]
            self.assertEqual(1, len(errors))
            self.assertIn(says, errors[0])
        self.problems(
            'listen = ["127.0.0.1:80"]',
            "f:1: listen[0]: must be a table, not a string; write [[listen]], and below it its keys",
        )

    def test_no_setting(self) -> None:
        """No hint stands in the way of a setting that there is."""
        tables = {"listen": Listen, "services": Service, "timeouts": Timeouts, **plain_sections()}
        for table, hints in HINTS.items():
            if table == "routes":
                known = {key.key for key in ROUTE.keys}
            else:
                known = {*tables, "listen", "services", "timeouts"} if not table else set(settings(tables[table]))
            if table == "services":
                known |= OTHERS
            self.assertEqual(set(), {key.replace("_", "") for key in known} & set(hints), table)

    def test_plugins(self) -> None:
        """A plugin's own table has none of these: its C{retries} are its own affair."""
        error = self.assertRaises(Refused, read_own, Limits, {"retries": 1})
        self.assertNotIn("nothing to set", str(error))
        self.assertEqual("", hint(("kafka", "retries")))
