# -*- test-case-name: tests.benchmark.endurance.test_talk -*-
"""
L{benchmark.endurance.talk}: connections that know their own ports.
"""

import asyncio

from twisted.trial.unittest import SynchronousTestCase

from benchmark.endurance import talk
from benchmark.endurance.tally import Tally
from benchmark.process import HOST, free_ports


class OpenedTests(SynchronousTestCase):
    """One is opened, or not."""

    def test_opened(self) -> None:
        """Its port is ours, by which it is found again; what is read says why there is no more."""

        async def run() -> tuple[talk.Talk, list[int], str]:
            ports: list[int] = []

            async def serve(reader: object, writer: asyncio.StreamWriter) -> None:
                ports.append(writer.get_extra_info("peername")[1])
                writer.write(b"ab")
                writer.close()

            async with await asyncio.start_server(serve, HOST, 0) as server:
                found = await talk.opened(Tally("x"), server.sockets[0].getsockname()[1])
                assert found is not None
                self.assertEqual(b"a", await found.exactly(1))
                try:
                    await found.exactly(2)
                except talk.Lost as e:
                    why = str(e)
                found.close()
                return found, ports, why

        found, ports, why = asyncio.run(run())
        self.assertEqual(([found.port], "closed in an answer", True), (ports, why, found.over))

    def test_refused(self) -> None:
        """Nobody listens: that is a loss."""
        self.patch(talk, "REFUSED", 0.0)
        tally = Tally("x")
        self.assertIsNone(asyncio.run(talk.opened(tally, free_ports(1)[0])))
        self.assertEqual(
            (1, 0, ["connecting: ConnectionRefusedError"]),
            (tally.begun, tally.done, [loss.why for loss in tally.losses]),
        )
