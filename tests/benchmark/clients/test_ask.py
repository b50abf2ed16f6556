# -*- test-case-name: tests.benchmark.clients.test_ask -*-
"""
L{benchmark.clients.ask}: clients that tell of every request.
"""

import asyncio
import io

from twisted.trial.unittest import SynchronousTestCase

from benchmark.clients.ask import ASK, LOST, client

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LAST = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
BAD = b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno"


class ClientTests(SynchronousTestCase):
    """One client."""

    def told(self, *answers: bytes) -> tuple[list[str], int]:
        """What it tells of these answers, and on how many connections it asked for them; an empty one is an end."""
        left, connections, out = list(answers), 0, io.StringIO()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connections
            connections += 1
            while left and await reader.read(65536):
                writer.write(answer := left.pop(0))
                if not answer:
                    break
            writer.close()

        async def go() -> None:
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            asking = asyncio.create_task(client(server.sockets[0].getsockname()[1], ASK % b"web.local", 0.0, out))
            while len(out.getvalue().splitlines()) < len(answers):
                await asyncio.sleep(0)
            server.close()
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

        asyncio.run(go())
        return out.getvalue().splitlines()[: len(answers)], connections

    def test_told(self) -> None:
        """When each was sent, and how long it took; what is not answered with 200 is lost."""
        lines, connections = self.told(GOOD, BAD, GOOD)
        rows = [line.split() for line in lines]
        self.assertEqual([False, True, False], [took == LOST for _, took in rows])
        self.assertEqual((sorted(rows), 1), (rows, connections))
        self.assertGreaterEqual(float(rows[0][1]), 0.0)

    def test_again(self) -> None:
        """Another connection follows one that was the last's, or ends."""
        lines, connections = self.told(LAST, b"", GOOD)
        self.assertEqual([False, True, False], [line.endswith(LOST) for line in lines])
        self.assertEqual(3, connections)
