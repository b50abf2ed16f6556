# -*- test-case-name: tests.test_config -*-
"""
The contract of L{lproxy.config}: every setting complete, every default fit to run.
"""

from __future__ import annotations

import dataclasses
import typing

from twisted.trial.unittest import SynchronousTestCase

from lproxy import config
from lproxy.balancing import Balancing
from lproxy.config import DEFAULT_LISTEN, INBOUND, Config, Listen, Service, Timeouts
from lproxy.configfile.kinds import settings
from lproxy.configfile.load import plain_sections

#: where settings stand
ROOMS = (config.__name__, Timeouts.__module__)

TABLES = (Config, Listen, Service, Timeouts, *plain_sections().values())


class SettingTests(SynchronousTestCase):
    def test_every_table_is_known(self) -> None:
        """Each dataclass of settings is part of the file, so that none is documented or checked by halves."""
        kinds = {
            value
            for value in vars(config).values()
            if isinstance(value, type) and dataclasses.is_dataclass(value) and value.__module__ in ROOMS
        }
        self.assertEqual(kinds | {Balancing}, set(TABLES))

    def test_every_setting_has_a_kind_and_help(self) -> None:
        """Each setting says what it is for, as a part of a sentence, and is of a kind that files can hold."""
        for table in TABLES:
            for setting in settings(table).values():
                self.assertTrue(setting.help, f"{table.__name__}.{setting.key}")
                self.assertFalse(setting.help.endswith("."), f"{table.__name__}.{setting.key}")

    def test_defaults_can_be_written(self) -> None:
        """Each default is a value that a file may set, and reads back as itself."""
        for table in TABLES:
            for setting in settings(table).values():
                if setting.required or setting.default is None:
                    continue
                values = setting.default if setting.kind.many else (setting.default,)
                for value in values:
                    read = setting.kind.read(setting.kind.write(value))
                    self.assertEqual((type(value), value), (type(read), read), f"{table.__name__}.{setting.key}")

    def test_unknown_kind(self) -> None:
        """A setting of a type that files cannot hold is found when its table is first read, by name."""

        @dataclasses.dataclass
        class Strange:
            there: complex = config.setting(1j, "no such kind")

        Strange.__annotations__["there"] = complex
        self.assertIn("complex", str(self.assertRaises(TypeError, settings, Strange)))


class ConfigTests(SynchronousTestCase):
    def test_frozen(self) -> None:
        """A configuration never changes under those who hold it."""
        for table in (Config(), Timeouts(), DEFAULT_LISTEN[0]):
            name = dataclasses.fields(table)[0].name
            self.assertRaises(dataclasses.FrozenInstanceError, setattr, table, name, None)

    def test_directions(self) -> None:
        """Each direction has its own clocks; inbound differs by what INBOUND lists and nothing else."""
        default = Config()
        self.assertEqual(default.timeouts("outbound"), Timeouts())
        inbound, outbound = (dataclasses.asdict(default.timeouts(side)) for side in ("inbound", "outbound"))
        self.assertEqual(INBOUND, {key: value for key, value in inbound.items() if value != outbound[key]})

    def test_default_listeners(self) -> None:
        """Without a file there is one listener for each direction, on loopback, each at its own port."""
        directions = [listen.direction for listen in DEFAULT_LISTEN]
        self.assertEqual(sorted(typing.get_args(config.Direction)), sorted(directions))
        addresses = {listen.address for listen in DEFAULT_LISTEN} | {Config().admin.address}
        self.assertEqual(3, len(addresses))
        self.assertTrue(all(address.startswith("127.0.0.1:") for address in addresses))

    def test_listen_is_hashable(self) -> None:
        """A listener is a key, whatever plugins made of their tables."""
        one = dataclasses.replace(DEFAULT_LISTEN[0], plugins={"kafka": []})
        self.assertEqual(hash(one), hash(DEFAULT_LISTEN[0]))
