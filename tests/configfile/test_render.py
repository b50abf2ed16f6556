# -*- test-case-name: tests.configfile.test_render -*-
"""
The effective configuration, as a file would have it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lproxy.config import DEFAULT_LISTEN, Config
from lproxy.configfile import load, render
from tests.configfile.case import GOOD, PLUGINS, FileTestCase, Kafka


class RenderTests(FileTestCase):
    def toml(self, rendered: dict[str, Any]) -> str:
        """A rendered configuration as a file: JSON's scalars and arrays are TOML's."""
        lines: list[str] = []

        def table(header: str, values: Mapping[str, Any]) -> None:
            lines.append(header)
            lines.extend(f"{key} = {json.dumps(value)}" for key, value in values.items() if value is not None)

        for name, values in rendered.items():
            if not isinstance(values, (dict, list)):
                lines.append(f"{name} = {json.dumps(values)}")
            elif name == "listen":
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
        service = {"endpoints": ["127.0.0.1:8081", "[::1]:8081"], "max_failures": None, "protocol": None}
        service |= {"proxy": False, "lenient": False, "tls": False, "require_identity": False, "allow": [], "deny": []}
        service |= {"proxy_protocol": None, "failure_ratio": None, "max_ejected": None, "slow_start": None}
        service |= dict.fromkeys(("server_name", "ca", "certificate", "key", "identity"), "")
        self.assertEqual(service, rendered["services"]["app"])

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
