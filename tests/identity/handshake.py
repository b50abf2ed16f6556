"""
Handshakes in memory, for tests of what contexts take and refuse.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from OpenSSL import SSL

from lproxy.identity.contexts import Context
from lproxy.identity.material import Material, Trust
from lproxy.identity.verification import Peer
from lproxy.testing.certificates import Issuer, Leaf


@dataclass
class Side:
    """One end: its connection, who its peer is, and the error that ended it."""

    connection: SSL.Connection
    error: Exception | None = None
    done: bool = False

    @property
    def peer(self) -> Peer:
        """What it found out."""
        peer = self.connection.get_app_data()
        assert isinstance(peer, Peer)
        return peer

    @property
    def reason(self) -> str:
        """Why it refused the other's certificate."""
        return self.peer.refusal.reason if self.peer.refusal else ""

    @property
    def alert(self) -> str:
        """OpenSSL's last word."""
        return self.error.args[0][-1][2] if isinstance(self.error, SSL.Error) and self.error.args else repr(self.error)

    def step(self) -> None:
        """Go on as far as it goes."""
        if self.error is not None:
            return
        try:
            if not self.done:
                self.connection.do_handshake()
                self.done = True
            self.connection.recv(1)
        except SSL.WantReadError:
            pass
        except Exception as error:
            self.error = error


def move(source: SSL.Connection, target: SSL.Connection) -> bool:
    """Carry what C{source} has to send; whether there was any."""
    try:
        data = source.bio_read(1 << 16)
    except SSL.WantReadError:
        return False
    target.bio_write(data)
    return True


def shake(
    server: Context, client: Context, expected: str = "", session: SSL.Session | None = None, sni: str = ""
) -> tuple[Side, Side]:
    """
    Let them shake hands, until neither has anything to say any more.

    @param expected: whom the client wants to talk to
    @return: server and client
    """
    sides = Side(server.connection(None)), Side(client.connection(None, expected))
    sides[0].connection.set_accept_state()
    sides[1].connection.set_connect_state()
    if session is not None:
        sides[1].connection.set_session(session)
    if sni:
        sides[1].connection.set_tlsext_host_name(sni.encode())
    moved = True
    while moved:
        sides[1].step()
        moved = move(sides[1].connection, sides[0].connection)
        sides[0].step()
        moved |= move(sides[0].connection, sides[1].connection)
    return sides


def material(leaf: Leaf, identity: str = "") -> Material:
    """C{leaf} without a file, and unchecked."""
    return Material("leaf.pem", "leaf.key", leaf.chain, leaf.key, (), identity)


def trust(*issuers: Issuer) -> Trust:
    """Their anchors, without a file."""
    return Trust(("trust.pem",), tuple(one.anchor for one in issuers))


def now() -> datetime:
    """OpenSSL's time."""
    return datetime.now(UTC)
