# -*- test-case-name: tests.benchmark.clients.test_handshakes -*-
"""
Connect, make a TLS 1.3 handshake, close, and begin again; several side by side.

A handshake counts when the server has closed, too, for then it has done its part; where it does not within a second, as
Envoy sometimes forgets, without a latency. Nothing is asked inside. With C{--resume} all resume a session of before,
whose ticket came with an answer: some servers send none without. The certificate's chain is not checked: that would be
the client's work alone.
"""

import argparse
import gc
import select
import socket
import ssl
import time
from dataclasses import dataclass

from benchmark.clients.common import HOST, Requests, connect, exchange, percentiles, print_result

#: how long a connection may take; then it gives its place to another
PATIENCE = 1.0
#: of the certificate
NAME = "localhost"


def context() -> ssl.SSLContext:
    """TLS 1.3 alone, whoever the server is."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.set_alpn_protocols(["http/1.1"])
    return made


@dataclass(slots=True)
class Attempt:
    """One connection on its way. C{done}: the handshake is, and the server's end is waited for."""

    socket: ssl.SSLSocket
    started: float
    resumes: bool
    done: bool = False

    def step(self) -> bool:
        """Go on; whether it is complete. Raises L{OSError} when it failed, or was not resumed where it should be."""
        if not self.done:
            try:
                self.socket.do_handshake()
            except ssl.SSLWantReadError:
                return False
            if self.socket.session_reused != self.resumes:
                raise OSError(f"resumed: {self.socket.session_reused}, and not {self.resumes}")
            self.done = True
            close(self.socket)
        try:
            # past TLS: what comes now are tickets
            while socket.socket.recv(self.socket, 65_536):
                pass
        except BlockingIOError:
            return False
        except ConnectionResetError:
            # so some close who have not read the close_notify
            pass
        return True


def close(connection: ssl.SSLSocket) -> None:
    """Send close_notify and FIN, and wait for nothing."""
    try:
        connection.unwrap()
    except OSError:
        # it has not said the same, or has gone without a word
        pass
    connection.shutdown(socket.SHUT_WR)


def begin(tls: ssl.SSLContext, port: int, session: ssl.SSLSession | None) -> Attempt:
    """A connection, its ClientHello sent."""
    started = time.perf_counter()
    made = tls.wrap_socket(connect(port), do_handshake_on_connect=False, server_hostname=NAME, session=session)
    made.setblocking(False)
    try:
        made.do_handshake()
    except OSError:
        # its answer is to come; that it failed will be seen, too
        pass
    return Attempt(made, started, session is not None)


def handshakes(port: int, seconds: float, parallel: int, resume: bool) -> dict[str, float]:
    """Put the load on; latency is from before the connect to the server's end."""
    tls, clock, poll = context(), time.perf_counter, select.epoll()
    live: dict[int, Attempt] = {}
    session = first_session(tls, port) if resume else None
    latencies: list[float] = []
    errors = kept = 0

    def start() -> None:
        made = begin(tls, port, session)
        live[made.socket.fileno()] = made
        poll.register(made.socket, select.EPOLLIN)

    gc.collect()
    gc.disable()
    began = clock()
    looked, until = began, began + seconds
    for _ in range(parallel):
        start()

    def over(attempt: Attempt) -> None:
        del live[attempt.socket.fileno()]
        attempt.socket.close()  # takes it out of the epoll set
        if clock() < until:
            start()

    while live and clock() < until + 2 * PATIENCE:
        for descriptor, _ in poll.poll(PATIENCE):
            attempt = live[descriptor]
            try:
                if not attempt.step():
                    continue
                latencies.append(clock() - attempt.started)
            except OSError:
                errors += 1
            over(attempt)
        now = clock()
        if now > looked + PATIENCE:
            looked = now
            for attempt in [one for one in live.values() if one.started < now - PATIENCE]:
                kept += attempt.done
                errors += not attempt.done
                over(attempt)
    elapsed = clock() - began
    latencies.sort()
    done = len(latencies) + kept
    return {"handshakes": done, "seconds": elapsed, **percentiles(latencies), "errors": errors + len(live)}


def first_session(tls: ssl.SSLContext, port: int) -> ssl.SSLSession:
    """Of a full handshake, and an answer."""
    with tls.wrap_socket(connect(port), server_hostname=NAME) as connection:
        exchange(connection, Requests(port).next())
        session = connection.session
    if session is None or not session.has_ticket:
        raise ConnectionError("no ticket came with an answer")
    return session


def main() -> None:
    parser = argparse.ArgumentParser(description=f"TLS handshakes with a port of {HOST}.")
    parser.add_argument("port", type=int)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--parallel", type=int, default=8)
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    print_result(handshakes(options.port, options.seconds, options.parallel, options.resume))


if __name__ == "__main__":
    main()
