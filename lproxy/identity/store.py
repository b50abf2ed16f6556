# -*- test-case-name: tests.identity.test_store -*-
"""
All certificates and anchors of one configuration, and the contexts that are made of them.

Whoever accepts or connects asks for a context each time, and gets the one of the moment: there is nothing to tell when
files have changed. Whoever is connected is untouched by that.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

from OpenSSL import SSL

from lproxy.config import Identity
from lproxy.identity import contexts, material
from lproxy.identity.contexts import Context, KeyLog
from lproxy.identity.files import Files
from lproxy.identity.in_use import InUse
from lproxy.identity.made import Made, Mesh, Pair
from lproxy.identity.material import Material
from lproxy.identity.pem import MaterialError
from lproxy.identity.refusal import names
from lproxy.identity.rotation import Change, Source
from lproxy.target import Secure

T = TypeVar("T")

#: the name of our own identity in logs and metrics; those of others are the paths of their files
OWN: Final = "identity"
#: what contexts are for
FRONTEND, MESH_SERVER, MESH_CLIENT, CLIENT = "frontend", "mesh server", "mesh client", "client"


class Shown:
    """What one listener shows to its clients."""

    def __init__(
        self, files: Files, mesh: Made[Mesh] | None, alpn: tuple[str, ...], require: bool, keylog: KeyLog | None
    ) -> None:
        self._files = files
        self._mesh = mesh
        self._alpn = alpn
        self._require = require
        self._keylog = keylog

    def find(self, name: str) -> Context | None:
        """
        What is shown to a client that asks for C{name}, in the ClientHello; C{None} where that is nobody here.

        A client that asks for no name is shown the first certificate. Where there is none, it means our identity, if
        that is no name that it could ask for.
        """
        mesh = self._mesh.source.value if self._mesh is not None else None
        if mesh is not None and name in mesh.names:
            return self._own()
        if name:
            return self._files.names.find(name)
        default = self._files.names.default
        return self._own() if default is None and mesh is not None and not mesh.names else default

    @property
    def default(self) -> Context | None:
        """What is shown to whoever asks for a name that nobody here has: the first certificate, else our identity."""
        return self._files.names.default or self._own()

    def _own(self) -> Context | None:
        if self._mesh is None:
            return None
        return self._mesh.get((MESH_SERVER, self._alpn, self._require), self._server)

    def _server(self, mesh: Mesh) -> Context:
        return contexts.mesh_server(mesh.material, mesh.trust, self._alpn, self._require, self._keylog)


class Store:
    """
    Everything that is read from files.

    What listeners show and who we are is read by L{look}; what else is asked for, when somebody asks for it first.
    """

    def __init__(
        self,
        own: Identity,
        now: Callable[[], datetime],
        keylog: KeyLog | None = None,
        in_use: InUse | None = None,
    ) -> None:
        """
        @param now: the time of day, with a zone: what certificates go by
        @param keylog: told the secrets of all connections, which is a reason for contexts of their own
        @param in_use: those of other configurations, too
        """
        self._now = now
        self._keylog = keylog
        self._in_use = in_use if in_use is not None else InUse()
        self._mesh: Made[Mesh] | None = None
        if own.certificate:
            source = Source(
                OWN, lambda: (own.trust, own.certificate, own.key), partial(_mesh, own), lambda mesh: mesh.mark
            )
            self._mesh = self._made(source)
        self._files: list[Files] = []
        self._pairs: dict[tuple[str, str, str, bool], Made[Pair]] = {}

    # what others ask for

    @property
    def identity(self) -> str:
        """Who we are; empty where we have no identity, or it was not read yet."""
        mesh = self._mesh.source.value if self._mesh is not None else None
        return mesh.material.identity if mesh is not None else ""

    def listener(
        self, certificates: tuple[str, ...], alpn: tuple[str, ...] = (), require: bool = False, mesh: bool = True
    ) -> Shown:
        """
        What a listener shows.

        @param certificates: paths of files and folders, for ordinary clients
        @param alpn: protocols that it offers, the best first
        @param require: whether clients of our identity have to have one
        @param mesh: whether it shows our identity
        """
        files = Files(certificates, partial(_frontend, self._in_use, alpn, self._keylog))
        self._files.append(files)
        return Shown(files, self._mesh if mesh else None, alpn, require, self._keylog)

    def _made(self, source: Source[T]) -> Made[T]:
        return Made(source, self._in_use, self._now, self._keylog)

    def client(self, secure: Secure, alpn: tuple[str, ...] = ()) -> Context:
        """
        What to connect with.

        @raise MaterialError: there is nothing good to connect with
        """
        if not secure.identity:
            return self._pair(secure.certificate, secure.key, secure.ca, server=False).get(
                (CLIENT, alpn),
                lambda pair: contexts.client(pair.trust, pair.material, alpn, self._keylog),
            )
        if self._mesh is None:
            raise MaterialError(OWN, "no_identity", "we have no identity: [identity] is not set")
        return self._mesh.get(
            (MESH_CLIENT, alpn),
            lambda mesh: contexts.mesh_client(mesh.material, mesh.trust, alpn, self._keylog),
        )

    def server(self, certificate: str, key: str = "", client_ca: str = "") -> Callable[[], Context]:
        """
        What a server of our own shows, such as the admin server: to be asked for it each time.

        @param client_ca: clients have to have a certificate that leads to one of these
        """
        made = self._pair(certificate, key, client_ca, server=True)
        return lambda: made.get(
            (FRONTEND, (), client_ca != ""),
            lambda pair: contexts.frontend(_shown(pair), (), pair.trust, client_ca != "", self._keylog),
        )

    def _pair(self, certificate: str, key: str, trust: str, server: bool) -> Made[Pair]:
        """Certificate, key and anchors, watched from now on."""
        name = (certificate, key, trust, server)
        made = self._pairs.get(name)
        if made is None:
            made = self._pairs[name] = self._made(_pair(certificate, key, trust, server))
            made.source.look(self._now(), insist=True)
            made.settled()
        return made

    # what the driver does

    def look(self, insist: bool = False) -> Generator[None, None, list[Change]]:
        """
        See what has changed in the files since the last time, one after the other.

        @param insist: read all of them, whether they have changed or not, and tell all that is wrong
        """
        told: dict[tuple[str, str], Change] = {}
        for change in self._changes(self._now(), insist):
            if change is not None:
                # what several listeners show is one thing to tell
                told[change.name, str(change.error)] = change
            yield
        return list(told.values())

    def _changes(self, now: datetime, insist: bool) -> Iterator[Change | None]:
        for files in self._files:
            yield from files.look(now, insist)
        sources: list[Source[Mesh] | Source[Pair]] = [made.source for made in self._pairs.values()]
        if self._mesh is not None:
            sources.append(self._mesh.source)
        for source in sources:
            yield source.look(now, insist)

    def materials(self) -> Iterator[tuple[str, Material]]:
        """Name and certificate of each that is in use, once."""
        found: dict[str, Material] = {}
        if self._mesh is not None and self._mesh.source.value is not None:
            found[OWN] = self._mesh.source.value.material
        for files in self._files:
            found.update(files.materials)
        for made in self._pairs.values():
            if made.source.value is not None and made.source.value.material is not None:
                found[made.source.value.material.certificate] = made.source.value.material
        yield from found.items()

    def warnings(self) -> Iterator[str]:
        """What is odd about what is in use, a sentence each."""
        for _, one in self.materials():
            yield from one.warnings
        values: list[Mesh | Pair | None] = [made.source.value for made in self._pairs.values()]
        if self._mesh is not None:
            values.append(self._mesh.source.value)
        for value in values:
            if value is not None and value.trust is not None:
                yield from value.trust.warnings


def _mesh(own: Identity, now: datetime) -> Mesh:
    trust = material.anchors(own.trust, now)
    one = material.identity(own.certificate, own.key, trust, now)
    _taken(own.certificate, lambda: contexts.mesh_server(one, trust))
    return Mesh(one, trust, frozenset(name.lower() for name in names(one.leaf) if "://" not in name))


def _pair(certificate: str, key: str, trust: str, server: bool) -> Source[Pair]:
    def files() -> list[str]:
        beside = [certificate, key or material.beside(certificate)] if certificate else []
        return [*beside, *([trust] if trust else [])]

    def load(now: datetime) -> Pair:
        anchors = material.anchors(trust, now) if trust else None
        system = None if trust or server else material.system()
        if not certificate:
            return Pair(None, anchors, system)
        if server:
            one = material.server(certificate, now, key)
            _taken(certificate, lambda: contexts.frontend(one, (), anchors))
        else:
            one = material.client(certificate, key, now)
            _taken(certificate, lambda: contexts.client(anchors, one))
        return Pair(one, anchors, system)

    return Source(certificate or trust or "system", files, load, lambda pair: pair.mark)


def _frontend(in_use: InUse, alpn: tuple[str, ...], keylog: KeyLog | None, one: Material, now: datetime) -> Context:
    build = partial(contexts.frontend, one, alpn, keylog=keylog)
    return _taken(one.certificate, lambda: in_use.get((one.fingerprint, keylog), (FRONTEND, alpn), build, now))


def _shown(pair: Pair) -> Material:
    assert pair.material is not None  # whoever asked named its file
    return pair.material


def _taken(file: str, build: Callable[[], Context]) -> Context:
    """What C{build} makes, or why OpenSSL makes nothing of it."""
    try:
        return build()
    except SSL.Error as error:
        reasons = ", ".join(entry[2] for entry in error.args[0]) if error.args else "without a reason"
        raise MaterialError(file, "unusable", f"OpenSSL does not take it: {reasons}") from error
