# -*- test-case-name: tests.configfile.test_services -*-
"""
Services, and whether anybody can ask for them.
"""

from __future__ import annotations

from tests.configfile.case import LISTEN, FileTestCase, listener

ENDPOINTS = 'endpoints = ["127.0.0.1:1"]\n'


class ServiceTests(FileTestCase):
    def test_no_endpoints(self) -> None:
        """A service without endpoints is a warning, whether the list is empty or left out."""
        for keys in ("", "endpoints = []"):
            self.problems(
                f'[services."a:80"]\n{keys}',
                'f:1: warning: services."a:80": has no endpoints: every request to it fails; write endpoints = '
                '["127.0.0.1:8081"]',
            )

    def test_backend(self) -> None:
        """A name that a profile asks for needs no port."""
        shared = '[services."web.local:80"]\nbackends = ["new", { service = "old" }]\n'
        backends = [f'[services.{name}]\nendpoints = ["127.0.0.1:1"]\n' for name in ("new", "old")]
        self.good(shared + "".join(backends))

    def test_name_without_port(self) -> None:
        """A name that no client can ask for is a warning, unless a listener asks for it."""
        service = '[services."web.local"]\nendpoints = ["127.0.0.1:1"]\n'
        self.problems(
            service,
            'f:1: warning: services."web.local": has no port, so that no client\'s authority can name it; write '
            '[services."web.local:80"], or let a listener have target = "service:web.local"',
        )
        self.good(service + LISTEN + 'target = "service:web.local"')
        self.says('[services.""]\nendpoints = ["127.0.0.1:1"]', "a service needs a name")

    def test_dots_without_quotes(self) -> None:
        """TOML makes tables of the parts of a name with dots: one error says so, and shows the quotes."""
        self.problems(
            f"[services.web.local]\n{ENDPOINTS}",
            "f:1: services.web.local: is a table within a table; TOML wants quotes around a name with dots: write "
            '[services."web.local:80"]',
        )
        self.says(f"[services.a.b.c]\n{ENDPOINTS}", '[services."a.b.c:80"]')
        self.says('[services."a:80"]\nendpoints = {a = "127.0.0.1:1"}', "endpoints: must be an array, not a table")
        text = listener(target="service:a.b") + f'[services."a.b"]\n{ENDPOINTS}'
        self.good(text)

    def test_never_asked_for(self) -> None:
        """A name that no client's authority can be like is a warning, unless a listener has it as target."""
        for name, why in {
            "*.local:80": "it is compared as it stands, without wildcards",
            "http://web:80": "an authority is a host and a port, without scheme or path",
            "münchen.de:80": "clients write an international name as xn--...",
            "web local:80": "it is neither a host name nor an IP address",
            "[0:0::1]:80": "clients write [::1]",
        }.items():
            service = f'[services."{name}"]\n{ENDPOINTS}'
            self.says(service, f"can match no client's authority: {why}; let a listener have target = ")
            self.good(service + listener(target=f"service:{name}"))
        for name in ("Web.Local:80", "web.local.:80", "10.0.0.1:80", "[::2]:80", "_x.web:080"):
            self.good(f'[services."{name}"]\n{ENDPOINTS}')

    def test_same(self) -> None:
        """Two names of one authority are an error: one of them would be forgotten."""
        self.problems(
            f'[services."web:80"]\n{ENDPOINTS}[services."WEB.:080"]\n{ENDPOINTS}',
            'f:3: services."WEB.:080": is the same authority as services."web:80"; leave out one of the two',
        )

    def test_unused(self) -> None:
        """A service that no listener can lead to is a warning; where a plugin may ask for it, it is none."""
        service = f'[services."web:80"]\n{ENDPOINTS}'
        unused = "is unused: no listener routes by authority or sni, and none has it as target; let a listener have "
        for values in (
            {"target": "original-dst", "protocol": "tcp"},
            {"target": "10.0.0.1:1"},
            {"target": "original-dst", "protocol": "http"},
        ):
            self.says(service + listener(**values), unused)
        for values in ({}, {"protocol": "http"}, {"target": "web:80"}, {"target": "WEB:80"}):
            self.good(service + listener(**values))
        self.good(service + listener(target="10.0.0.1:1", protocol="mqtt"), {"mqtt": dict})

    def test_by_files(self) -> None:
        """Where files say who serves in whose place, a service may be used, and need no endpoints of its own."""
        files = '[profiles]\nfiles = ["/etc/profiles"]\n'
        self.good(f'{files}[services."web:80"]\n{ENDPOINTS}{listener(target="10.0.0.1:1")}')
        self.good(f'{files}[services."web:80"]\nprotocol = "http2"\n')
        # which is not so where a table's own profile has precedence
        self.says(f'{files}[services."web:80"]\nsticky = {{ cookie = "a" }}\n', "has no endpoints")
