# -*- test-case-name: tests.test_configfile -*-
"""
What users are promised of the configuration file.

One file for one contract, and long for that: nearly all of it is tables of a text and what is said of it.
"""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from lproxy.config import DEFAULT_LISTEN, Config, Listen, Timeouts, setting
from lproxy.configfile import Loaded, Problem, load, load_file, reference, refresh, render
from lproxy.configfile.__main__ import main
from lproxy.configfile.kinds import kind_of, settings
from lproxy.configfile.lines import locate
from lproxy.configfile.own import Refused, read_own
from lproxy.configfile.problem import Wrong
from lproxy.configfile.reference import BEGIN, END
from lproxy.configfile.units import read_duration, read_size, write_duration, write_size
from lproxy.protocols.kafka.plugin import KafkaPlugin

Configure = Callable[[dict[str, Any]], object]

#: a file with all that a good one may have
GOOD = """
# a comment = "with a key"
access_log.path = "-"

[admin]
address = "127.0.0.1:4191"
hosts = ["proxy.local"]
log_level = true

[[listen]]
name = "outbound"
address = "127.0.0.1:4140"
detect = ["http", "kafka"]
    [listen.kafka]
    mode = "b"

[[listen]]
"name" = 'inbound'
address = "[::1]:4143"
direction = "inbound"
target = "service:app"
protocol = "tcp"

[[listen]]
name = "unix"
address = "unix:/run/lproxy.sock:mode=660"
target = "db.local:5432"

[services.app]
endpoints = ["127.0.0.1:8081", "[::1]:8081"]
[services."web.local:80"]
endpoints = [
    "127.0.0.1:8082",  # one
    '''127.0.0.1:8083''',
]

[timeouts]
acquire = "5s"
stream = "2m"
body = "none"
inbound.acquire = "500ms"
[timeouts.outbound]
service_idle = "1.5s"
upstream_idle = "1s"

[limits]
buffer = "128KiB"
detect = 4096
in_flight = 5

[kafka]
mode = "a"
level = 3
"""

LISTEN = '[[listen]]\nname = "web"\naddress = "127.0.0.1:4140"\n'


@dataclass
class Kafka:
    """What a plugin makes of its table."""

    mode: str = "a"
    level: int = 0
    password: str = field(default="secret", repr=False)


def configure_kafka(table: dict[str, Any]) -> Kafka:
    mode = table.pop("mode", "a")  # a plugin may take its table apart
    if mode not in ("a", "b"):
        raise ValueError(f'mode: {mode} is neither "a" nor "b"')
    if table.get("level") == 13:
        raise ValueError("all is lost")
    return Kafka(mode, **table)


PLUGINS: Mapping[str, Configure] = {"kafka": configure_kafka}


class FileTestCase(SynchronousTestCase):
    def problems(self, text: str, *expected: str, plugins: Mapping[str, Configure] = PLUGINS) -> None:
        """The problems of C{text} are these, all of them, in this order; an error leaves no configuration."""
        loaded = load(text, "f", plugins)
        self.assertEqual(list(expected), [str(problem) for problem in loaded.problems])
        errors = any(problem.severity == "error" for problem in loaded.problems)
        self.assertEqual(errors, loaded.config is None)

    def says(self, text: str, part: str, plugins: Mapping[str, Configure] = PLUGINS) -> None:
        """There is one problem with C{text}, and C{part} is in what is said of it."""
        loaded = load(text, "f", plugins)
        self.assertEqual(1, len(loaded.problems), [str(problem) for problem in loaded.problems])
        self.assertIn(part, str(loaded.problems[0]))

    def good(self, text: str, plugins: Mapping[str, Configure] = PLUGINS) -> Config:
        loaded = load(text, "f", plugins)
        self.assertEqual([], [str(problem) for problem in loaded.problems])
        assert loaded.config is not None
        return loaded.config


class GoodTests(FileTestCase):
    def test_empty(self) -> None:
        """An empty file is the built-in defaults."""
        for text in ("", "\n", "# nothing\r\n", "\ufeff"):
            self.assertEqual(Config(), self.good(text, {}))

    def test_everything(self) -> None:
        """Every value of a file arrives where it belongs, in the right unit; all else keeps its default."""
        config = self.good(GOOD)
        outbound, inbound, unix = config.listen
        self.assertEqual(
            ("outbound", "127.0.0.1:4140", "outbound", "authority", ("http", "kafka"), None),
            (outbound.name, outbound.address, outbound.direction, outbound.target, outbound.detect, outbound.protocol),
        )
        self.assertEqual(("inbound", "service:app", "tcp"), (inbound.direction, inbound.target, inbound.protocol))
        self.assertEqual(("unix:/run/lproxy.sock:mode=660", "db.local:5432"), (unix.address, unix.target))
        self.assertEqual(("127.0.0.1:8081", "[::1]:8081"), config.services["app"].endpoints)
        self.assertEqual("web.local:80", config.services["web.local:80"].name)
        self.assertEqual(
            Timeouts(acquire=5.0, stream=120.0, body=None, service_idle=1.5, upstream_idle=1.0), config.outbound
        )
        self.assertEqual(replace(Config().inbound, acquire=0.5, stream=120.0, body=None), config.inbound)
        self.assertEqual(replace(Config().limits, buffer=131072, detect=4096, in_flight=5), config.limits)
        self.assertEqual(replace(Config().admin, hosts=("proxy.local",), log_level=True), config.admin)
        self.assertEqual(("-", Config().dns), (config.access_log.path, config.dns))

    def test_both_directions(self) -> None:
        """[timeouts] wins over the defaults of both directions, a direction's own table over that."""
        config = self.good('[timeouts]\nacquire = "4s"\n[timeouts.inbound]\nacquire = "2s"\n[timeouts.outbound]\n')
        self.assertEqual((4.0, 2.0), (config.outbound.acquire, config.inbound.acquire))
        self.assertEqual((1.0, 0.3), (config.outbound.connect, config.inbound.connect))

    def test_one_spelling(self) -> None:
        """Addresses are kept in one spelling, however the file has them."""
        config = self.good('[dns]\nservers = ["[0:0::1]:053", "127.0.0.1:53"]')
        self.assertEqual(("[::1]:53", "127.0.0.1:53"), config.dns.servers)


class UnitTests(SynchronousTestCase):
    def test_durations(self) -> None:
        """A duration reads as its exact number of seconds, and writes as a file would have it."""
        exact = {"300ms": 0.3, "50ms": 0.05, "10s": 10.0, "90s": 90.0, "2m": 120.0, "1h": 3600.0, "1500ms": 1.5}
        for text, seconds in exact.items():
            self.assertEqual((seconds, text), (read_duration(text), write_duration(seconds)))
        self.assertEqual((1.5, 0.1, 2.0), (read_duration("1.5s"), read_duration("0.1 s"), read_duration("02s")))

    def test_every_duration_survives(self) -> None:
        """Whatever the number, what is written reads back as it."""
        rng = random.Random(1)
        for exponent in range(-9, 9):
            seconds = rng.random() * 10.0**exponent
            self.assertEqual(seconds, read_duration(write_duration(seconds)))

    def test_sizes(self) -> None:
        """Sizes are bytes: powers of 1024 with an i, of 1000 without, and a bare number is bytes."""
        sizes = {"1B": 1, "64KiB": 65536, "1MiB": 1048576, "2GiB": 2**31, "8kB": 8000, "3MB": 3000000, "12": 12}
        for text, size in sizes.items():
            self.assertEqual(size, read_size(text))
            self.assertEqual(size, read_size(write_size(size)))
        self.assertEqual(("64KiB", "1MiB", "2GiB", 1000), tuple(map(write_size, (65536, 2**20, 2**31, 1000))))


class ValueTests(FileTestCase):
    def test_bad_durations(self) -> None:
        """A duration without a unit, of nothing, or of anything else is refused with what to write."""
        examples = 'write a duration such as "300ms", "10s", "2m" or "1h"'
        for value, says in {
            "10": '10 has no unit; write "10s"',
            "0.5": '0.5 has no unit; write "0.5s"',
            "-1": '-1 has no unit; write "10s"',
            "inf": 'inf has no unit; write "10s"',
            "nan": 'nan has no unit; write "10s"',
            '"10"': '"10" has no unit; write "10s"',
            '"0s"': f'"0s" is not more than zero; {examples}',
            '"-1s"': f'"-1s" is no duration; {examples}',
            '"infs"': f'"infs" is no duration; {examples}',
            '"1m30s"': f'"1m30s" is no duration; {examples}',
            '"٣s"': f'"٣s" is no duration; {examples}',
            '"1e3s"': f'"1e3s" is no duration; {examples}',
            '""': f'"" is no duration; {examples}',
            '"none"': f'"none" is no duration; {examples}',
            '"3 days"': '"3 days" has an unknown unit; units are ms, s, m and h',
            '"1S"': '"1S" has an unknown unit; units are ms, s, m and h',
            "true": f"must be a duration, not a boolean; {examples}",
            "[]": f"must be a duration, not an array; {examples}",
            "1979-05-27": f"must be a duration, not a date or time; {examples}",
            f'"{"9" * 400}s"': f"is not finite; {examples}",
        }.items():
            self.problems(f"[timeouts]\nacquire = {value}", f"f:2: timeouts.acquire: {says}")

    def test_none(self) -> None:
        """Only what may be off takes "none"."""
        config = self.good('[timeouts]\nbody = "none"\nwrite = "none"\nstream = "none"')
        self.assertEqual((None, None, None), (config.inbound.body, config.outbound.write, config.outbound.stream))
        self.says('[timeouts]\ndrain = "none"', '"none" is no duration')
        self.says("[timeouts]\nbody = 5", 'write "5s"')

    def test_bad_sizes(self) -> None:
        """A size of nothing, in parts of bytes, or with an ambiguous unit is refused with what to write."""
        for value, says in {
            '"8KB"': '"8KB" may mean two things; write "8KiB" (8192) or "8kB" (8000)',
            '"8M"': '"8M" may mean two things; write "8MiB" (8388608) or "8MB" (8000000)',
            '"8kib"': '"8kib" has an unknown unit; did you mean "KiB"?',
            '"1.5MiB"': '"1.5MiB" is no size; write a number of bytes, or a size such as "64KiB" or "1MiB"',
            "0": '0 is not more than zero; write a number of bytes, or a size such as "64KiB" or "1MiB"',
            '"0KiB"': '0 is not more than zero; write a number of bytes, or a size such as "64KiB" or "1MiB"',
            "1.5": 'must be a size, not a float; write a number of bytes, or a size such as "64KiB" or "1MiB"',
            "true": 'must be a size, not a boolean; write a number of bytes, or a size such as "64KiB" or "1MiB"',
        }.items():
            self.problems(f"[limits]\ntrailers = {value}", f"f:2: limits.trailers: {says}")
        self.assertEqual(1, len(load(f'[limits]\ntrailers = "{"9" * 5000}KiB"', "f", {}).problems))

    def test_bad_counts(self) -> None:
        """A count is a whole number above zero; true is none."""
        for value, says in {
            "0": "0 is not more than zero",
            "-5": "-5 is not more than zero",
            "true": "must be a whole number, not a boolean",
            "1.0": "must be a whole number, not a float",
            '"5"': "must be a whole number, not a string",
            "0x" + "f" * 5000: "is beyond 64 bits",
        }.items():
            self.problems(f"[limits]\npool = {value}", f"f:2: limits.pool: {says}; write a number such as 100")

    def test_numbers(self) -> None:
        """A plain number is above zero and finite, whole or not."""
        number = kind_of(float, "")
        self.assertEqual((0.5, 2.0), (number.read(0.5), number.read(2)))
        for value in (0, -0.5, float("inf"), float("nan"), True, "1", 16**5000):
            self.assertIn("write a number such as 0.5", self.assertRaises(Wrong, number.read, value).right)

    def test_other_types(self) -> None:
        """Booleans, strings, choices and arrays are each refused what they are not."""
        for text, says in {
            '[admin]\nshutdown = "yes"': "f:2: admin.shutdown: must be a boolean, not a string; write true or false, "
            "without quotes",
            "[admin]\nshutdown = 1": "f:2: admin.shutdown: must be a boolean, not an integer; write true or false, "
            "without quotes",
            "[access_log]\npath = 1": "f:2: access_log.path: must be a string, not an integer; write it in double "
            "quotes",
            '[access_log]\npath = "a\\u0000"': 'f:2: access_log.path: "a\\u0000" has control characters in it',
            '[admin]\nhosts = "a"': 'f:2: admin.hosts: must be an array, not a string; write it in brackets: ["a"]',
            '[admin]\nhosts = ["a", ""]': "f:2: admin.hosts[1]: is empty",
            '[admin]\nhosts = [\n"a",\n1]': "f:4: admin.hosts[1]: must be a string, not an integer; write it in double "
            "quotes",
            '[admin]\nhosts = ["a", "a"]': 'f:2: admin.hosts[1]: "a" is given twice; admin.hosts[0] is the same',
            f'{LISTEN}direction = "Inbound"': 'f:4: listen[0].direction: must be "inbound" or "outbound", not '
            '"Inbound"; did you mean "inbound"?',
            f"{LISTEN}direction = 3": 'f:4: listen[0].direction: must be "inbound" or "outbound", not 3',
        }.items():
            self.problems(text, says)


class KeyTests(FileTestCase):
    def test_unknown_keys(self) -> None:
        """An unknown key or table is an error that says what was probably meant."""
        for text, says in {
            '[timeouts]\naquire = "3s"': 'f:2: timeouts.aquire: unknown key; did you mean "acquire"?',
            '[timeouts.inbound]\naquire = "3s"': 'f:2: timeouts.inbound.aquire: unknown key; did you mean "acquire"?',
            "[limits]\nin-flight = 3": 'f:2: limits.in-flight: unknown key; did you mean "in_flight"?',
            "in_flight = 3": "f:1: in_flight: unknown key; it belongs in [limits]",
            'ttl-min = "3s"': 'f:1: ttl-min: unknown key; did you mean "ttl_min" in [dns]?',
            '[timeout]\nacquire = "3s"': 'f:1: timeout: unknown table; did you mean "timeouts"?',
            '[access_log]\n"a b" = 1': 'f:2: access_log."a b": unknown key; keys here are path',
            f'{LISTEN}adress = ""': 'f:4: listen[0].adress: unknown key; did you mean "address"?',
            '[services."a:80"]\nendpoints = ["10.0.0.1:80"]\nname = "b"': 'f:3: services."a:80".name: unknown key; it '
            "belongs in [[listen]]",
            "[mqtt]\nx = 1": "f:1: mqtt: unknown table; tables here are access_log, admin, dns, kafka, limits, listen, "
            'metrics, services, timeouts; the plugin "mqtt" is not installed',
        }.items():
            self.problems(text, says)

    def test_all_in_one_pass(self) -> None:
        """One pass finds every problem, in the order of the file."""
        text = 'x = 1\n[limits]\npool = 0\n[timeouts]\nacquire = 3\nconnect = "3"\n[dns]\nservers = ["a", "b"]\n'
        keys = ["x", "limits.pool", "timeouts.acquire", "timeouts.connect", "dns.servers[0]", "dns.servers[1]"]
        self.assertEqual(keys, [problem.key for problem in load(text, "f", {}).problems])

    def test_not_tables(self) -> None:
        """A value, or an array, where a table belongs is refused with the header to write."""
        for text, says in {
            "admin = 1": "f:1: admin: must be a table, not an integer; write [admin], and below it its keys",
            "[[admin]]": "f:1: admin: must be one table, not an array of them; write [admin] once, in single brackets",
            "timeouts.inbound = 1": "f:1: timeouts.inbound: must be a table, not an integer; write [timeouts.inbound], "
            "and below it its keys",
            'services = "a"': 'f:1: services: must be a table, not a string; write [services."NAME"], and below it its '
            "keys",
            'services."a:80" = 1': 'f:1: services."a:80": must be a table, not an integer; write [services."a:80"], '
            "and below it its keys",
            "kafka = 1": "f:1: kafka: must be a table, not an integer; write [kafka], and below it its keys",
            "listen = 1": "f:1: listen: must be an array of tables, not an integer; write [[listen]], in double "
            "brackets, once for each listener",
            LISTEN.replace("[[", "[").replace("]]", "]"): "f:1: listen: must be an array of tables; write [[listen]], "
            "in double brackets, once for each listener",
            f"{LISTEN}kafka = 1": "f:4: listen[0].kafka: must be a table, not an integer; write [listen.kafka], and "
            "below it its keys",
        }.items():
            problems = [str(problem) for problem in load(text, "f", PLUGINS).problems if problem.severity == "error"]
            self.assertEqual([says], problems)


class ListenTests(FileTestCase):
    def listen(self, **values: object) -> str:
        given = {"name": "web", "address": "127.0.0.1:0", **values}
        return "\n".join(["[[listen]]", *(f"{key} = {json.dumps(value)}" for key, value in given.items()), ""])

    def test_replaces_defaults(self) -> None:
        """One listener in the file, and the default ones are gone."""
        self.assertEqual((Listen(name="web", address="127.0.0.1:4140"),), self.good(LISTEN, {}).listen)

    def test_none(self) -> None:
        """A proxy that is told to listen nowhere warns."""
        self.problems(
            "listen = []",
            "f:1: warning: listen: no listener: the proxy serves nothing; leave the key out for the defaults",
        )

    def test_name(self) -> None:
        """A listener's name is required, unique, and fit for a label."""
        self.problems(
            '[[listen]]\naddress = "127.0.0.1:0"',
            "f:1: listen[0].name: is missing; the listener's name in logs and metrics; unique",
        )
        self.says(self.listen(name=""), "listen[0].name: is empty")
        self.says(self.listen(name="a b"), "has other characters than letters, digits, _, . and -")
        self.says(self.listen() * 2, '"web" is taken; it is that of listen[0]; names must be unique')
        self.good(self.listen(name="A-z_0.9"))

    def test_good_addresses(self) -> None:
        """Listeners take IPv4, IPv6, any port, and endpoint strings, those of plugins included."""
        for address in (
            "127.0.0.1:80",
            "0.0.0.0:0",
            "[::]:80",
            "tcp:80",
            "tcp6:port=80:interface=\\:\\:1",
            "unix:/run/x",
            "systemd:domain=INET:index=0",
            "haproxy:tcp:80",
            "onion:80:key=x",
            "fd:3",
        ):
            self.assertEqual(address, self.good(self.listen(address=address)).listen[0].address)

    def test_bad_addresses(self) -> None:
        """Anything else is refused, with what was probably meant."""
        examples = 'write IP:port such as "127.0.0.1:4140", or an endpoint string such as "tcp:4140"'
        for address, says in {
            "": "is empty",
            "127.0.0.1": '"127.0.0.1" has no port; add one, as in "127.0.0.1:80"',
            "127.0.0.1:": f'"127.0.0.1:" is no address with a port; {examples}',
            "127.0.0.1:65536": "port 65536 is not one of 0 to 65535",
            "127.0.0.1:+80": f'"127.0.0.1:+80" is no address with a port; {examples}',
            "127.0.0.1:８０": f'"127.0.0.1:８０" is no address with a port; {examples}',
            "127.0.0.256:80": f'"127.0.0.256" is no IP address; {examples}',
            ":4140": f'":4140" has no IP address; {examples}',
            "localhost:4140": '"localhost" is no IP address; write one, such as "127.0.0.1:4140"',
            "tpc:4140": '"tpc" is no IP address; did you mean "tcp:4140"?',
            "proxy.local:80": f'"proxy.local" is no IP address; {examples}',
            "::1:80": '"::1:80" does not tell address from port; write "[::1]:80"',
            "[::1]": '"[::1]" has no port; add one, as in "[::1]:80"',
            "[127.0.0.1]:80": '"[127.0.0.1]:80": brackets are for IPv6 addresses; write "127.0.0.1:80"',
            "[::1]80": f'"[::1]80" is no address with a port; {examples}',
            "tcp:": f'"tcp:" is no address with a port; {examples}',
        }.items():
            self.says(self.listen(address=address), f"listen[0].address: {says}")

    def test_taken_addresses(self) -> None:
        """Two listeners, or one and the admin server, cannot have one address, however it is spelt."""
        for one, other in (
            ("127.0.0.1:80", "127.0.0.1:080"),
            ("[::1]:80", "[0::1]:80"),
            ("0.0.0.0:80", "tcp:80"),
            ("127.0.0.1:80", "tcp:80:interface=127.0.0.1"),
            ("[::1]:80", "tcp6:80:interface=\\:\\:1"),
            ("unix:/a", "unix:/a"),
        ):
            text = self.listen(address=one) + self.listen(name="b", address=other)
            self.says(text, "is taken by listen[0].address")
        self.says(self.listen(address="127.0.0.1:4191"), "is taken by admin.address (127.0.0.1:4191)")
        self.says('[admin]\naddress = "127.0.0.1:4140"', "is taken by admin.address (127.0.0.1:4140)")

    def test_overlapping_addresses(self) -> None:
        """A wildcard beside an address of the same port is a warning: some systems allow it."""
        text = self.listen(address="127.0.0.1:80") + self.listen(name="b", address="0.0.0.0:80")
        self.problems(
            text,
            'f:6: warning: listen[1].address: "0.0.0.0:80" overlaps listen[0].address (127.0.0.1:80); give each its '
            "own port",
        )

    def test_addresses_beside_each_other(self) -> None:
        """Fresh ports, other ports, other addresses and an admin server that is off clash with nothing."""
        for one, other in (
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("tcp:0", "tcp:0"),
            ("127.0.0.1:80", "127.0.0.2:80"),
            ("127.0.0.1:80", "127.0.0.1:81"),
            ("127.0.0.1:80", "[::1]:80"),
            ("unix:/a", "unix:/b"),
        ):
            self.good(self.listen(address=one) + self.listen(name="b", address=other))
        self.good('[admin]\naddress = ""\n' + self.listen(address="127.0.0.1:4191"))

    def test_good_targets(self) -> None:
        """A target is a word, a host and port, or a service of the file."""
        services = '[services.db]\nendpoints = ["127.0.0.1:1"]\n'
        for target in ("authority", "original-dst", "web.local:80", "10.0.0.1:80", "[::2]:80", "service:db"):
            config = self.good(services + self.listen(target="service:db") + self.listen(name="b", target=target))
            self.assertEqual(target, config.listen[1].target)

    def test_bad_targets(self) -> None:
        """Anything else is refused, with what was probably meant."""
        for target, says in {
            "authorty": '"authorty" is no target; did you mean "authority"?',
            "original_dst": '"original_dst" is no target; did you mean "original-dst"?',
            "web": '"web" is no address with a port; write "host:port", "authority", "original-dst" or "service:NAME"',
            "service:wep:1": 'there is no service "wep:1"; did you mean "web:1"?',
            "service:zzz": 'there is no service "zzz"; add [services.zzz] with its endpoints',
            "http://web:80": '"http://web:80" is a URL; write its "host:port" alone',
            "web:0": "port 0 is not one of 1 to 65535",
            "web:65536": "port 65536 is not one of 1 to 65535",
            "10.0.0.256:80": '"10.0.0.256" is no IP address',
            "0.0.0.0:80": '0.0.0.0 can be listened on, not connected to; did you mean "127.0.0.1:80"?',
            "we b:80": '"we b" is no IP address',
        }.items():
            text = self.listen(target=target) + '[services."web:1"]\nendpoints = ["127.0.0.1:1"]\n'
            self.says(text, f"listen[0].target: {says}")
        self.says(
            self.listen(target="db")
            + self.listen(name="b", target="service:db")
            + '[services.db]\nendpoints = ["127.0.0.1:1"]',
            'listen[0].target: "db" has no port; write "service:db" for the service of that name',
        )

    def test_detect(self) -> None:
        """Detection names each protocol that is there once, and never tcp."""
        self.assertEqual(("kafka", "http"), self.good(self.listen(detect=["kafka", "http"])).listen[0].detect)
        self.assertEqual((), self.good(self.listen(detect=[])).listen[0].detect)
        self.says(self.listen(detect=["http", "tcp"]), "listen[0].detect[1]: tcp always comes last by itself")
        self.says(self.listen(detect=["http", "http"]), 'listen[0].detect[1]: "http" is given twice')
        self.says(self.listen(detect=["kafak"]), 'there is no protocol "kafak"; did you mean "kafka"?')
        self.says(self.listen(detect=["mqtt"]), 'there is no protocol "mqtt"; write "http" or "kafka", or install its')

    def test_protocol(self) -> None:
        """A protocol is http, tcp or a plugin's, with and without those two among the plugins."""
        built_in: Mapping[str, Configure] = {"http": dict, "tcp": dict}
        for plugins in (PLUGINS, {**PLUGINS, **built_in}):
            for name in ("http", "tcp", "kafka"):
                self.assertEqual(name, self.good(self.listen(protocol=name), plugins).listen[0].protocol)
        self.says(self.listen(protocol="htp"), 'listen[0].protocol: there is no protocol "htp"; did you mean "http"?')

    def test_protocol_and_detect(self) -> None:
        """Detection beside a configured protocol is a warning: it never happens."""
        self.problems(
            self.listen(protocol="tcp", detect=["http"]),
            "f:5: warning: listen[0].detect: is unused beside protocol; a configured protocol is never detected; leave "
            "out one of the two",
        )

    def test_loops(self) -> None:
        """The proxy is never told to connect to itself."""
        for address, target in (
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("[::1]:80", "[0::1]:80"),
            ("127.0.0.1:80", "localhost:80"),
            ("0.0.0.0:80", "127.0.0.2:80"),
            ("127.0.0.1:80", "127.0.0.1:4191"),
            ("tcp:80", "localhost:80"),
        ):
            self.says(self.listen(address=address, target=target), "listen[0].target: ")
            self.says(self.listen(address=address, target=target), "is the proxy's own ")
        self.says(
            LISTEN + '[services."a:80"]\nendpoints = ["127.0.0.1:4140"]',
            'services."a:80".endpoints[0]: "127.0.0.1:4140" is the proxy\'s own listen[0].address: a loop',
        )
        for target in ("127.0.0.1:81", "127.0.0.2:80", "[::1]:80", "web.local:80"):
            self.good(self.listen(address="127.0.0.1:80", target=target))


class ServiceTests(FileTestCase):
    def test_endpoints(self) -> None:
        """Endpoints are IP addresses with a port, each once."""
        for endpoints, says in {
            '["web:80"]': 'endpoints[0]: "web" is no IP address; write IP:port such as "10.0.0.7:8080"; a DNS name '
            'belongs in "target"',
            '["10.0.0.1"]': 'endpoints[0]: "10.0.0.1" has no port; add one, as in "10.0.0.1:80"',
            '["10.0.0.1:0"]': "endpoints[0]: port 0 is not one of 1 to 65535",
            '["10.0.0.1:1", "10.0.0.1:01"]': 'endpoints[1]: "10.0.0.1:1" is given twice; services."a:80".endpoints[0] '
            "is the same",
            "[1]": "endpoints[0]: must be a string, not an integer; write it in double quotes",
            '["[::]:1"]': 'endpoints[0]: :: can be listened on, not connected to; did you mean "127.0.0.1:1"?',
        }.items():
            loaded = load(f'[services."a:80"]\nendpoints = {endpoints}', "f", {})
            errors = [str(problem) for problem in loaded.problems if problem.severity == "error"]
            self.assertEqual([f'f:2: services."a:80".{says}'], errors)

    def test_no_endpoints(self) -> None:
        """A service without endpoints is a warning, whether the list is empty or left out."""
        for keys in ("", "endpoints = []"):
            self.problems(
                f'[services."a:80"]\n{keys}',
                'f:1: warning: services."a:80": has no endpoints: every request to it fails; write endpoints = '
                '["127.0.0.1:8081"]',
            )

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


class RelationTests(FileTestCase):
    def test_relations(self) -> None:
        """Settings that contradict each other are reported at the one that the file gives."""
        end = "lower the one or raise the other"
        for text, says in {
            '[timeouts]\nbackoff_min = "2m"': 'f:2: timeouts.backoff_min: backoff_min ("2m") is more than backoff_max '
            f'("1m"): the first delay would be past the longest; {end}',
            '[dns]\nttl_max = "1s"': 'f:2: dns.ttl_max: ttl_min ("5s") is more than ttl_max ("1s"): no answer could be '
            f"kept; {end}",
            '[timeouts.outbound]\nacquire = "500ms"': "f:2: warning: timeouts.outbound.acquire: connect "
            '("1s") is more than acquire ("500ms") outbound: attempts to connect are given up before their time; '
            f"{end}",
            '[timeouts]\nresponse_headers = "3s"\nstream = "2s"': "f:2: warning: timeouts.response_headers: "
            'response_headers ("3s") is more than stream ("2s"): the whole stream is ended before it; ' + end,
            '[limits]\nheaders = "1MiB"': 'f:2: warning: limits.headers: headers ("1MiB") is more than buffer '
            f'("64KiB"): reading is paused before all headers have come; {end}',
        }.items():
            self.problems(text, says)

    def test_wrong_values_are_not_compared(self) -> None:
        """A value that is wrong by itself is not also compared, by its default, with others."""
        self.says('[dns]\nttl_min = 3\nttl_max = "1s"', "has no unit")

    def test_off_is_never_too_long(self) -> None:
        """What is turned off contradicts nothing."""
        self.good('[timeouts]\nresponse_headers = "3s"')


class PluginTests(FileTestCase):
    def test_defaults(self) -> None:
        """Every plugin is configured, with an empty table where the file has none, and each listener has its value."""
        config = self.good("")
        self.assertEqual([{"kafka": Kafka()}] * 2, [dict(listen.plugins) for listen in config.listen])

    def test_merged(self) -> None:
        """A listener's own table replaces keys of the file's table, for that listener alone."""
        config = self.good(GOOD)
        self.assertEqual([Kafka("b", 3), Kafka("a", 3), Kafka("a", 3)], [one.plugins["kafka"] for one in config.listen])

    def test_called_once(self) -> None:
        """A plugin is asked once for the file's table and once for each listener that overrides it."""
        asked: list[dict[str, Any]] = []
        plugins: Mapping[str, Configure] = {"kafka": asked.append}
        load(GOOD, "f", plugins)
        self.assertEqual([{"mode": "a", "level": 3}, {"mode": "b", "level": 3}], asked)

    def test_refused(self) -> None:
        """What a plugin refuses stands at the key that it names, else at its table, and is said once."""
        use = LISTEN + 'detect = ["kafka"]\n'
        self.problems(f'{use}[kafka]\nmode = "c"', 'f:6: kafka.mode: c is neither "a" nor "b"')
        self.problems(f"{use}[kafka]\nlevel = 13", "f:5: kafka: all is lost")
        self.problems(f'{use}[listen.kafka]\nmode = "c"', 'f:6: listen[0].kafka.mode: c is neither "a" nor "b"')
        self.problems(
            f'{use}[listen.kafka]\nlevel = 1\n[kafka]\nmode = "c"', 'f:8: kafka.mode: c is neither "a" nor "b"'
        )

    def test_broken(self) -> None:
        """A plugin that fails is named, and the rest of the file is checked all the same."""

        class Speechless(Exception):
            def __str__(self) -> str:
                raise RuntimeError("not even that")

        def broken(table: dict[str, Any]) -> object:
            raise KeyError("x")

        def speechless(table: dict[str, Any]) -> object:
            raise Speechless

        self.problems(
            "[limits]\npool = 0",
            "f:2: limits.pool: 0 is not more than zero; write a number such as 100",
            "f: one: the plugin \"one\" failed: KeyError: 'x'; this is a bug in the plugin",
            'f: two: the plugin "two" failed: Speechless: ?; this is a bug in the plugin',
            plugins={"one": broken, "two": speechless},
        )

    def test_unused(self) -> None:
        """Settings of a protocol that no listener speaks are a warning."""
        self.problems(
            f'{LISTEN}detect = ["http"]\n[kafka]\nmode = "a"',
            'f:5: warning: kafka: is unused: no listener speaks kafka; add "kafka" to the detect of one',
        )
        self.problems(
            f'{LISTEN}detect = ["http"]\n[listen.kafka]\nmode = "a"',
            'f:5: warning: listen[0].kafka: is unused: the listener speaks no kafka; add "kafka" to its detect',
        )

    def test_name_of_a_setting(self) -> None:
        """A plugin with the name of a setting is configured without a table; the setting stays the setting."""
        loaded = load(LISTEN + 'detect = ["http"]', "f", {"detect": dict})
        self.assertEqual(
            ['f: warning: the plugin "detect" has the name of a setting and so no table of its own'],
            [str(problem) for problem in loaded.problems],
        )
        assert loaded.config is not None
        self.assertEqual({}, loaded.config.listen[0].plugins["detect"])


@dataclass(frozen=True)
class Own:
    """A plugin's table, told as lproxy tells its own."""

    level: int = setting(3, "how much")
    names: tuple[str, ...] = setting((), "who")
    wait: float = setting(1.0, "how long", "duration")


class OwnTests(FileTestCase):
    """What L{read_own} does for plugins."""

    def says(self, table: dict[str, Any], words: str, **more: Any) -> None:  # type: ignore[override]
        error = self.assertRaises(ValueError, read_own, Own, table, **more)
        self.assertEqual(words, str(error))

    def test_read(self) -> None:
        """What is set is read as its kind; what is not has no value; other keys are for the caller."""
        self.assertEqual({}, read_own(Own, {}))
        self.assertEqual(
            {"level": 5, "names": ("a", "b"), "wait": 0.5},
            read_own(Own, {"level": 5, "names": ["a", "b"], "wait": "500ms", "table": {}}, also=("table",)),
        )

    def test_wrong(self) -> None:
        """Every key that is wrong begins a message, which says what would be right."""
        self.says({"level": "x"}, "level: must be a whole number, not a string; write a number such as 100")
        both = (
            'levle: unknown key; did you mean "level"?',
            "level: must be a whole number, not a string; write a number such as 100",
        )
        self.says({"levle": 3, "level": "x"}, "; ".join(both))
        with self.assertRaises(Refused) as caught:
            read_own(Own, {"levle": 3, "level": "x"})
        self.assertEqual(both, caught.exception.messages)
        self.says({"zzz": 3}, "zzz: unknown key; keys here are level, names, wait")
        self.says({"names": ["a", 3]}, "names[1]: must be a string, not an integer; write it in double quotes")

    def test_checked(self) -> None:
        """A key's own check is asked for the value, or for each element."""

        def small(value: Any) -> Any:
            if len(str(value)) > 1:
                raise Wrong(f"{value} is long", "write less")
            return value

        self.says({"level": 10}, "level: 10 is long; write less", checks={"level": small})
        self.says({"names": ["a", "bc"]}, "names[1]: bc is long; write less", checks={"names": small})

    def test_kafka(self) -> None:
        """With the plugin that uses it: the line is that of the key, in the file's table or in a listener's."""
        plugins: Mapping[str, Configure] = {"kafka": KafkaPlugin().configure}
        use = f'{LISTEN}protocol = "kafka"\n'  # up to line 4
        for text, problem in {
            f"{use}[kafka]\nidle = 3": 'f:6: kafka.idle: 3 has no unit; write "3s"',
            f'{use}[listen.kafka]\nmax_in_flight = 0\n[kafka]\nidle = "3s"': "f:6: listen[0].kafka.max_in_flight: 0 is "
            "not more than zero; write a number such as 100",
            f'{use}[listen.kafka]\n\ndeny = ["Fetch",\n "Fetsch"]': "f:8: listen[0].kafka.deny[1]: there is no "
            'request "Fetsch"; did you mean "Fetch"?',
            f'{use}[listen.kafka]\nmode = "gateway"': "f:5: listen[0].kafka: base_port: is missing; a gateway serves "
            "the broker with node id N on base_port + N",
            f"{use}[listen.kafka.quotas]\na = {{ byte = 1 }}": "f:5: listen[0].kafka.quotas: 'a': byte: unknown key; "
            'did you mean "bytes"?',
            f'{use}[kafka.brokers]\n1 = "x"': "f:5: kafka.brokers: 'x' is no address; write 1 = \"kafka-1:9092\"",
        }.items():
            self.problems(text, problem, plugins=plugins)

    def test_replaced(self) -> None:
        """A listener's own keys replace the file's, and the others stay; what is wrong is said where it stands."""
        plugins: Mapping[str, Configure] = {"kafka": KafkaPlugin().configure}
        text = f'{LISTEN}protocol = "kafka"\n[listen.kafka]\nbase_port = 9100\n[kafka]\nidle = "5s"\nmax_brokers = 3'
        own: Any = self.good(text, plugins).listen[0].plugins["kafka"]
        self.assertEqual((9100, 5.0, 3), (own.base_port, own.idle, own.max_brokers))


class SyntaxTests(FileTestCase):
    def test_syntax(self) -> None:
        """What is no TOML is one problem, with its line where there is one."""
        for text, says in {
            "\n[a": "f:2: not valid TOML: Expected ']' at the end of a table declaration (at end of document)",
            "a = 1\na = 2\n": "f:2: not valid TOML: Cannot overwrite a value, at column 6",
            "a = " + "[" * 10000: "f: not valid TOML: nested too deeply",
            "a = " + "9" * 10000: "f: not valid TOML: a number of thousands of digits",
            "[timeouts]\nacquire = 3s": "f:2: not valid TOML: Expected newline or end of document after a statement, "
            'at column 12; durations and sizes stand in quotes: write "3s"',
        }.items():
            self.problems(text, says)

    def test_one_line_each(self) -> None:
        """Whatever stands in a file, a problem is one printable line."""
        for text in ('"a\\nb\\u001b[2J" = 1', f'"{"a" * 5000}" = 1', f'[admin]\naddress = "\\r\\n{"x" * 5000}"'):
            said = str(load(text, "f", {}).problems[0])
            self.assertTrue(said.isprintable())
            self.assertTrue(len(said) <= 1000)

    def test_problem(self) -> None:
        """A problem says where, what is wrong, and what would be right, as far as each is known."""
        self.assertEqual("f:3: a.b: bad; good", str(Problem("error", "f", 3, "a.b", "bad", "good")))
        self.assertEqual("f: warning: bad", str(Problem("warning", "f", None, "", "bad")))


class LineTests(SynchronousTestCase):
    def test_lines(self) -> None:
        """Every way to write a key in TOML has its line."""
        text = "\n".join(
            [
                "a = 1",  # 1
                "b.c . 'd e' = { f = [1, 2], g.h = '''",
                "[x]",  # inside a string
                "''' }",
                '"q\\u0041" = """',  # 5
                'k = 1 \\""" """""',  # ends with two quotes of its own
                "[t] # ] x = 1",
                "k = [ # [",
                ' "]", { m = 1979-05-27 07:32:00 },',
                "]",  # 10
                '[[l."p.q"]]',
                "[l.'p.q'.s]",
                "k = -inf",
                '[["l" . "p.q"]]\r',
                "k = ''",  # 15
                "[t.u.v]",
                "[t.u]",
                'k = "\\"#" # k2 = 1',
                '2024-01-01 = ""',
            ]
        )
        lines = locate(text)
        expected = {
            ("a",): 1,
            ("b",): 2,
            ("b", "c", "d e"): 2,
            ("b", "c", "d e", "f", 1): 2,
            ("b", "c", "d e", "g", "h"): 2,
            ("qA",): 5,
            ("t",): 7,
            ("t", "k"): 8,
            ("t", "k", 0): 9,
            ("t", "k", 1, "m"): 9,
            ("l", "p.q", 0): 11,
            ("l", "p.q", 0, "s", "k"): 13,
            ("l", "p.q", 1): 14,
            ("l", "p.q", 1, "k"): 15,
            ("t", "u"): 16,
            ("t", "u", "v"): 16,
            ("t", "u", "k"): 18,
            ("t", "u", "2024-01-01"): 19,
        }
        self.assertEqual(expected, {path: lines.get(path) for path in expected})
        self.assertNotIn(("x",), lines)
        self.assertNotIn(("k",), lines)

    def test_lost(self) -> None:
        """Where the scanner loses its way, what it has found stays and nothing is raised."""
        for rest in ("b", "b = ", "b = [1 2]", "b = {", "b = [", "[[b]", '"\\x" = 1', "b = " + "[" * 10000):
            self.assertEqual(1, locate(f"a = 1\n{rest}")[("a",)])


class FileTests(FileTestCase):
    def write(self, content: bytes) -> str:
        path = self.mktemp()
        Path(path).write_bytes(content)
        return path

    def said(self, path: str) -> list[str]:
        loaded = load_file(path, {})
        self.assertIsNone(loaded.config)
        return [str(problem).removeprefix(path) for problem in loaded.problems]

    def test_good(self) -> None:
        """A file is read as UTF-8, whatever line ends and byte order mark its editor gave it."""
        for content in (b'[access_log]\npath = "\xc3\xa9"', b'\xef\xbb\xbf[access_log]\r\npath = "\xc3\xa9"\r\n'):
            loaded = load_file(self.write(content), {})
            self.assertEqual((Config().limits, ()), (loaded.config and loaded.config.limits, loaded.problems))
            self.assertEqual("é", loaded.config and loaded.config.access_log.path)

    def test_unreadable(self) -> None:
        """A file that is not there, or no file, is a problem that says so."""
        self.assertEqual([": cannot be read: No such file or directory"], self.said(self.mktemp()))
        self.assertEqual([": cannot be read: Is a directory"], self.said("/"))
        self.assertIn("null byte", self.said("a\0b")[0])

    def test_too_long(self) -> None:
        """A file that can be no configuration is not read to its end."""
        said = self.said(self.write(b"#" * 5_000_000))
        self.assertEqual([": is longer than 4194304 bytes; is this the right file?"], said)

    def test_not_utf8(self) -> None:
        """Another encoding is named by its first wrong byte and line."""
        self.assertEqual([":2: not UTF-8: byte 0xe9; save the file as UTF-8"], self.said(self.write(b"\n# \xe9")))
        self.assertEqual([":1: not UTF-8: byte 0xff; save the file as UTF-8"], self.said(self.write(b"\xff\xfea\0")))


class MutationTests(SynchronousTestCase):
    #: what the mutations put in
    SPLINTERS = (
        *"\"'[]{}=.,#\n\\\0é0s",
        *("[[", "]]", '"""', '""', "[]", "{}", "-1", "inf", "nan", "true", "1979-05-27", "0x" + "f" * 5000),
        *("[listen]", "[[services]]", "name"),
    )

    def mutant(self, rng: random.Random) -> str:
        text = GOOD
        for _ in range(rng.randint(1, 3)):
            start = rng.randrange(len(text))
            length = rng.choice((0, 1, 1, 5, 40))
            choice = rng.random()
            if choice < 0.4:
                new = rng.choice(self.SPLINTERS)
            elif choice < 0.6:
                other = rng.randrange(len(text))
                new = text[other : other + 30]
            else:
                new = ""
            text = text[:start] + new + text[start + length :]
        return text

    def value_mutant(self, rng: random.Random) -> str:
        """C{GOOD} with other values, so that most mutants are TOML and reach the checks."""
        values = [line.partition("=")[2] for line in GOOD.splitlines() if "=" in line and not line.endswith("[")]
        values += [" 0", " true", " []", " {}", " [[]]", " [{}]", " nan", " 07:32:00", ' ""', ' "\\u0000"', " [1, [2]]"]
        lines = GOOD.splitlines()
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(lines))
            key, equals, _ = lines[at].partition("=")
            if equals and not lines[at].startswith("#") and not lines[at].endswith("["):
                lines[at] = key + equals + rng.choice(values)
        return "\n".join(lines)

    def test_never_raises(self) -> None:
        """Whatever is done to a file, loading it ends with a configuration or with errors, and lines that exist."""
        rng = random.Random(4140)
        outcomes = {True: 0, False: 0}
        for turn in range(3000):
            text = self.mutant(rng) if turn % 2 else self.value_mutant(rng)
            try:
                loaded = load(text, "f", PLUGINS)
                if loaded.config is not None:
                    json.dumps(render(loaded.config))
            except Exception:
                self.fail(f"raised for {text!r}")
            errors = [problem for problem in loaded.problems if problem.severity == "error"]
            self.assertEqual(bool(errors), loaded.config is None)
            outcomes[loaded.config is None] += 1
            for problem in loaded.problems:
                self.assertTrue(str(problem).isprintable())
                if problem.line is not None:
                    self.assertTrue(1 <= problem.line <= text.count("\n") + 1, (text, problem))
        self.assertTrue(min(outcomes.values()) > 100, outcomes)


class RenderTests(FileTestCase):
    def toml(self, rendered: dict[str, Any]) -> str:
        """A rendered configuration as a file: JSON's scalars and arrays are TOML's."""
        lines: list[str] = []

        def table(header: str, values: Mapping[str, Any]) -> None:
            lines.append(header)
            lines.extend(f"{key} = {json.dumps(value)}" for key, value in values.items() if value is not None)

        for name, values in rendered.items():
            if name == "listen":
                for one in values:
                    # both keys are always rendered, and a file should give one of them
                    unused = "detect" if one["protocol"] is not None else "protocol"
                    own = {key: value for key, value in one.items() if key != unused and not isinstance(value, dict)}
                    table("[[listen]]", own)
                    for plugin, settings_ in one.items():
                        if isinstance(settings_, dict):
                            table(f"[listen.{plugin}]", settings_)
            elif name in ("services", "timeouts"):
                for key, value in values.items():
                    table(f"[{name}.{json.dumps(key)}]", value)
            else:
                table(f"[{name}]", values)
        return "\n".join(lines)

    def test_round_trip(self) -> None:
        """What is rendered is what a file would say: loading it gives the same configuration."""
        for text in ("", GOOD):
            config = self.good(text)
            loaded = load(self.toml(render(config)), "f", PLUGINS)
            self.assertEqual([], [problem for problem in loaded.problems if problem.severity == "error"])
            assert loaded.config is not None
            self.assertEqual(config, loaded.config)

    def test_readable(self) -> None:
        """Durations and sizes are rendered with their units, what is off as "none", and all of it is JSON."""
        rendered = json.loads(json.dumps(render(self.good(GOOD))))
        self.assertEqual(
            ("500ms", "5s", "none", "128KiB", 5),
            (
                rendered["timeouts"]["inbound"]["acquire"],
                rendered["timeouts"]["outbound"]["acquire"],
                rendered["timeouts"]["outbound"]["body"],
                rendered["limits"]["buffer"],
                rendered["limits"]["in_flight"],
            ),
        )
        self.assertEqual({"endpoints": ["127.0.0.1:8081", "[::1]:8081"]}, rendered["services"]["app"])

    def test_plugin_values(self) -> None:
        """Plugins' values are rendered whatever they are, and without what they keep out of their own repr."""

        class Unspeakable:
            def __repr__(self) -> str:
                raise RuntimeError

        endless: list[Any] = []
        endless.append(endless)
        for value, expected in (
            (Kafka("b", 2), {"mode": "b", "level": 2}),
            ({1: {2}, "x": (None, 1.5)}, {"1": [2], "x": [None, 1.5]}),
            (Kafka, repr(Kafka)),
            ([float("nan"), float("-inf"), 16**5000], ["nan", "-inf", "a number beyond 64 bits"]),
            (Unspeakable(), "Unspeakable"),
        ):
            listen = replace(DEFAULT_LISTEN[0], plugins={"kafka": value, "target": "hidden"})
            rendered = render(replace(Config(), listen=(listen,)))["listen"][0]
            self.assertEqual((expected, "authority"), (rendered["kafka"], rendered["target"]))
        json.dumps(render(replace(Config(), listen=(replace(DEFAULT_LISTEN[0], plugins={"kafka": endless}),))))


class ReferenceTests(SynchronousTestCase):
    page = Path(__file__).parent.parent / "docs" / "configuration.rst"

    def test_complete(self) -> None:
        """The reference has every setting with its kind, default (inbound, too, where it differs) and help."""
        text = reference()
        for table in (Listen, Timeouts):
            for one in settings(table).values():
                self.assertIn(f"``{one.key}``\n", text)
                self.assertIn(one.help[1:], text)
        for entry in (
            '``acquire``\n    Duration; default ``"3s"``, inbound ``"1s"``.\n',
            '``body``\n    Duration, or "none"; default ``"1m"``.\n',
            '``buffer``\n    Size; default ``"64KiB"``.\n',
            "``shutdown``\n    Boolean; default ``false``.\n",
            "``protocol``\n    String; default unset.\n",
            "``name``\n    Name; required.\n",
            '``detect``\n    Array of strings; default ``["http", "kafka"]``.\n',
        ):
            self.assertIn(entry, text)

    def test_page_is_up_to_date(self) -> None:
        """The docs say what config.py says; if not: python -m lproxy.configfile --write docs/configuration.rst"""
        if not self.page.exists():
            self.skipTest("no docs beside the tests")
        page = self.page.read_text("utf-8")
        self.assertEqual(refresh(page, reference()), page)

    def test_example_is_good(self) -> None:
        """The examples in the docs are files that load."""
        if not self.page.exists():
            self.skipTest("no docs beside the tests")
        blocks = self.page.read_text("utf-8").split(".. code-block:: toml\n\n")[1:]
        self.assertEqual(3, len(blocks))
        for block in blocks:
            lines = block.splitlines()
            until = next(index for index, line in enumerate(lines) if line and not line.startswith("    "))
            text = "\n".join(line[4:] for line in lines[:until])
            self.assertEqual((), load(text, "docs", {"kafka": KafkaPlugin().configure}).problems, text)

    def test_refresh(self) -> None:
        """Only what stands between the markers is renewed; a page without them is refused."""
        page = refresh(f"before\n{BEGIN}\nold\n{END}\nafter\n", reference())
        self.assertTrue(page.startswith(f"before\n{BEGIN}\n\n") and page.endswith(f"\n{END}\nafter\n"))
        self.assertNotIn("\nold\n", page)
        self.assertEqual(page, refresh(page, reference()))
        for bad in ("", BEGIN, END, f"{END}\n{BEGIN}"):
            self.assertRaises(ValueError, refresh, bad, reference())

    def test_command(self) -> None:
        """python -m lproxy.configfile prints the reference, or writes it into a page."""
        with redirect_stdout(io.StringIO()) as out:
            main([])
        self.assertEqual(reference() + "\n", out.getvalue())
        page = Path(self.mktemp())
        page.write_text(f"{BEGIN}\n{END}\n", "utf-8")
        main(["--write", str(page)])
        self.assertIn(reference(), page.read_text("utf-8"))


class LoadedTests(SynchronousTestCase):
    def test_values(self) -> None:
        """What loading gives is a value: equal for equal files."""
        self.assertEqual(load("x = 1", "f", {}), load("x = 1", "f", {}))
        self.assertEqual(Loaded(Config(), ()), load("", "f", {}))
