# -*- test-case-name: tests.benchmark.endurance.test_upstream -*-
"""
L{benchmark.endurance.upstream}: what stands behind the proxy.
"""

import asyncio

from twisted.trial.unittest import SynchronousTestCase

from benchmark.endurance import upstream
from benchmark.process import HOST


class UpstreamTests(SynchronousTestCase):
    """HTTP, which a proxy may speak in its own way."""

    def answers(self, said: bytes) -> bytes:
        async def run() -> bytes:
            async with await asyncio.start_server(upstream.contained(upstream.web), HOST, 0) as server:
                reader, writer = await asyncio.open_connection(HOST, server.sockets[0].getsockname()[1])
                writer.write(said)
                writer.write_eof()
                data = await reader.read()
                writer.close()
                return data

        return asyncio.run(run())

    def test_web(self) -> None:
        """Requests one after the other are answered with their paths and what they brought, in pieces or not."""
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
        said = b"POST /1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n"
        said += b"POST /2 HTTP/1.1\r\ncontent-length: 3\r\n\r\nabcGET /3 HTTP/1.1\r\nHost: x\r\n\r\n"
        self.assertEqual(answer + b"/1 5" + answer + b"/2 3" + answer + b"/3 0", self.answers(said))

    def test_nonsense(self) -> None:
        """A connection that is none of HTTP ends, and nobody hears more of it."""
        self.assertEqual(b"", self.answers(b"nonsense\r\n\r\n"))
