# -*- test-case-name: tests.identity.test_store -*-
"""
Tests for L{lproxy.identity.store}.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from lproxy.config import Identity
from lproxy.configfile.collector import at_once
from lproxy.identity import material
from lproxy.identity.contexts import Context, KeyLog
from lproxy.identity.in_use import InUse
from lproxy.identity.pem import MaterialError
from lproxy.identity.store import OWN, Store
from lproxy.target import Secure
from lproxy.testing.certificates import CLIENT, Issuer, authority
from tests.identity.handshake import now, shake

SHOP = authority()
WEB = "web.shop.mesh"


class StoreCase(SynchronousTestCase):
    """Files in a folder."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())

    def own(self, *names: str, issuer: Issuer = SHOP, lasts: timedelta = timedelta(days=1)) -> Identity:
        """Our identity."""
        return Identity(*issuer.issue(*names or (WEB,), lasts=lasts).write(self.folder, "own"))

    def store(self, own: Identity | None = None) -> Store:
        """A store that has been looked at."""
        made = Store(own or self.own(), now)
        self.assertEqual([], self.wrong(made))
        return made

    def wrong(self, store: Store) -> list[str]:
        """The reasons why something is not good."""
        return [change.error.reason for change in at_once(store.look(insist=True)) if change.error]

    def serial(self, context: Context | None, sni: str = "") -> str:
        """Whose certificate it shows: its serial number."""
        assert context is not None
        client = self.store().client(Secure(WEB, identity=True))
        _, by = shake(context, client, sni=sni)
        certificate = by.connection.get_peer_certificate()
        return f"{certificate.get_serial_number():x}" if certificate is not None else ""


class MeshTests(StoreCase):
    """Our identity."""

    def test_both_ways(self) -> None:
        """We know each other; a client of ours is asked who it is."""
        store = self.store()
        self.assertEqual(WEB, store.identity)
        context = store.listener((), require=True).find(WEB)
        assert context is not None
        to, by = shake(context, store.client(Secure(WEB, identity=True)), WEB)
        self.assertEqual((None, None, WEB, WEB), (to.error, by.error, to.peer.identity, by.peer.identity))

    def test_names(self) -> None:
        """It is shown to whoever asks for one of its DNS names, and to nobody else; a URI cannot be asked for."""
        shown = self.store(self.own("spiffe://shop/web", WEB)).listener(())
        self.assertIsNotNone(shown.find(WEB))
        for name in ("", "other", "spiffe://shop/web"):
            self.assertIsNone(shown.find(name))
        self.assertIsNotNone(shown.default)

    def test_without_dns_name(self) -> None:
        """Where our identity is no name that anybody can ask for, who asks for none means it."""
        shown = self.store(self.own("spiffe://shop/web")).listener(())
        self.assertIsNotNone(shown.find(""))
        self.assertIsNone(shown.find("other"))

    def test_rotation(self) -> None:
        """A new certificate is shown from the next look on; anchors may be exchanged behind an overlap."""
        other = authority("next")
        own = self.own()
        store = self.store(own)
        shown = store.listener(())
        old = shown.find(WEB)
        self.assertIs(old, shown.find(WEB))
        self.own()
        self.assertEqual([(OWN, None)], at_once(store.look()))
        self.assertIsNot(old, shown.find(WEB))
        # both anchors, then the certificate of the new one, then the new anchor alone
        Path(own.trust).write_bytes(SHOP.pem + other.pem)
        self.assertEqual([(OWN, None)], at_once(store.look()))
        leaf = other.issue(WEB)
        Path(own.certificate).write_bytes(leaf.chain_pem)
        Path(own.key).write_bytes(leaf.key_pem)
        self.assertEqual([(OWN, None)], at_once(store.look()))
        Path(own.trust).write_bytes(other.pem)
        self.assertEqual([(OWN, None)], at_once(store.look()))
        context = shown.find(WEB)
        assert context is not None
        self.assertEqual("", shake(context, store.client(Secure(WEB, identity=True)), WEB)[1].reason)
        # and who has the old one is a stranger now
        assert old is not None
        self.assertEqual("unknown_ca", shake(old, store.client(Secure(WEB, identity=True)), WEB)[1].reason)

    def test_bad_rotation(self) -> None:
        """Whatever is wrong with the new one, the old one is shown."""
        own = self.own()
        store = self.store(own)
        shown = store.listener(())
        old = shown.find(WEB)
        for reason, change in {
            "unknown_ca": lambda: Path(own.trust).write_bytes(authority("next").pem),
            "expired": lambda: self.own(lasts=timedelta(hours=-1)),
            "truncated": lambda: Path(own.key).write_bytes(Path(own.key).read_bytes()[:100]),
            "empty": lambda: Path(own.certificate).write_bytes(b""),
            "no_identity": lambda: self.own("*.shop.mesh"),
        }.items():
            change()
            self.assertEqual([reason], self.wrong(store))
            self.assertIs(old, shown.find(WEB))

    def test_none(self) -> None:
        """Without an identity nobody is dialled who has one: there is no fallback."""
        store = Store(Identity(), now)
        self.assertEqual(("", []), (store.identity, self.wrong(store)))
        self.assertRaises(MaterialError, store.client, Secure(WEB, identity=True))
        shown = store.listener(())
        self.assertEqual((None, None), (shown.find(WEB), shown.default))

    def test_bad_start(self) -> None:
        """An identity that was never good is told of, and nobody is dialled with it."""
        store = Store(self.own(lasts=timedelta(hours=-1)), now)
        self.assertEqual(["expired"], self.wrong(store))
        error = self.assertRaises(MaterialError, store.client, Secure(WEB, identity=True))
        self.assertIn("has expired", str(error))

    def test_not_for_all(self) -> None:
        """A listener may be without our identity."""
        shown = self.store().listener((), mesh=False)
        self.assertEqual((None, None), (shown.find(WEB), shown.default))


class ListenerTests(StoreCase):
    """Certificates for ordinary clients beside our identity."""

    def test_by_name(self) -> None:
        """Each by its name; the first certificate for whoever asks for none, or has to be shown one."""
        store = self.store()
        files = []
        serials = []
        for stem, name in (("a", "a.test"), ("b", "*.b.test")):
            leaf = SHOP.issue(name)
            files.append(leaf.write(self.folder, stem)[1])
            serials.append(f"{leaf.certificate.serial_number:x}")
        shown = store.listener(tuple(files), ("http/1.1",))
        self.assertEqual([], self.wrong(store))
        own = f"{next(one for name, one in store.materials() if name == OWN).serial}"
        for name, wanted in (("a.test", serials[0]), ("x.b.test", serials[1]), ("", serials[0])):
            context = shown.find(name)
            assert context is not None
            self.assertEqual((wanted, True), (self.shown_by(context), context.resumable))
        mesh = shown.find(WEB)
        assert mesh is not None
        self.assertEqual((own, False), (self.shown_by(mesh), mesh.resumable))
        self.assertIsNone(shown.find("other"))
        self.assertIs(shown.find("a.test"), shown.default)
        self.assertEqual([OWN, *files], [name for name, _ in store.materials()])

    def shown_by(self, context: Context) -> str:
        """The serial number of its certificate."""
        client = Store(Identity(), now).client(Secure("x", ca=str(self.folder / "trust.pem")))
        _, by = shake(context, client, "x")
        assert by.peer.refusal is not None or by.peer.identity
        text = by.peer.refusal.text if by.peer.refusal else ""
        return text.partition("(serial ")[2].partition(")")[0]

    def test_two_listeners(self) -> None:
        """What two listeners show is told of once, when it is new and when it is bad."""
        store = self.store()
        leaf = SHOP.issue("a.test")
        _, file, _ = leaf.write(self.folder, "a")
        shown = [store.listener((file,)) for _ in range(2)]
        self.assertEqual([(file, None)], at_once(store.look(insist=True)))
        self.assertEqual(1, [name for name, _ in store.materials()].count(file))
        self.assertNotIn(None, [one.find("a.test") for one in shown])
        Path(file).write_bytes(b"")
        self.assertEqual(["empty"], self.wrong(store))

    def test_unusable(self) -> None:
        """What is wrong with one is told by its file."""
        store = self.store()
        store.listener((str(self.folder / "none.pem"),))
        self.assertEqual(["unreadable"], self.wrong(store))


class ClientTests(StoreCase):
    """Ordinary servers."""

    def test_trust(self) -> None:
        """Whom the file names is believed, and from the next look on somebody else; a client certificate is shown."""
        ca, certificate, key = SHOP.issue("joe.test", usage=CLIENT).write(self.folder, "joe")
        store = Store(Identity(), now)
        secure = Secure("a.test", ca=ca, certificate=certificate, key=key)
        context = store.client(secure, ("http/1.1",))
        self.assertIs(context, store.client(secure, ("http/1.1",)))
        self.assertIsNot(context, store.client(secure))
        _, server, _ = SHOP.issue("a.test").write(self.folder, "server")
        get = store.server(server, client_ca=ca)
        to, by = shake(get(), context, "a.test")
        self.assertEqual((None, None, "joe.test"), (to.error, by.error, to.peer.identity))
        Path(ca).write_bytes(authority("next").pem)
        self.assertEqual({certificate, server}, {change.name for change in at_once(store.look())})
        self.assertEqual("unknown_ca", shake(get(), store.client(secure), "a.test")[1].reason)

    def test_bad(self) -> None:
        """Nobody is dialled with what is not good, from the beginning; once it is good, somebody is."""
        store = Store(Identity(), now)
        secure = Secure("a.test", ca=str(self.folder / "ca.pem"))
        error = self.assertRaises(MaterialError, store.client, secure)
        self.assertIn("No such file", str(error))
        self.assertEqual(["unreadable"], self.wrong(store))
        self.folder.mkdir()
        (self.folder / "ca.pem").write_bytes(SHOP.pem)
        at_once(store.look())
        self.assertTrue(store.client(secure).resumable)

    def test_system(self) -> None:
        """Without a file, whom the system trusts."""
        self.assertEqual("", Store(Identity(), now).client(Secure("a.test")).identity)

    def test_warnings(self) -> None:
        """What is odd about any of them."""
        own = self.own()
        Path(own.key).chmod(0o644)
        with open(own.trust, "ab") as trust:
            trust.write(Path(own.key).read_bytes())
        key, anchors = sorted(self.store(own).warnings())
        self.assertIn("chmod o-r", key)
        self.assertIn("whoever only trusts", anchors)

    def test_time(self) -> None:
        """The time of day is asked for at each look."""
        times = iter([datetime.now(UTC), datetime.now(UTC) + timedelta(days=2)])
        store = Store(self.own(), lambda: next(times))
        self.assertEqual([], self.wrong(store))
        self.assertEqual(["no_certificate"], self.wrong(store))


class AgainTests(StoreCase):
    """Another configuration's store beside one that is in use."""

    def setUp(self) -> None:
        super().setUp()
        self.in_use = InUse()
        self.ca, self.certificate, _ = SHOP.issue("a.test").write(self.folder, "a")
        self.identity = self.other()

    def other(self) -> Identity:
        """Our identity, whose anchors are a file of their own."""
        return Identity(*SHOP.issue(WEB).write(self.mktemp(), "own"))

    def contexts(self, require: bool = False, alpn: tuple[str, ...] = (), keylog: KeyLog | None = None) -> set[Context]:
        """All that a store has: to be shown, to other proxies and to ordinary clients; and to connect with."""
        store = Store(self.identity, now, keylog, self.in_use)
        shown = store.listener((self.certificate,), alpn, require)
        admin = store.server(self.certificate, client_ca=self.ca)
        self.assertEqual([], self.wrong(store))
        clients = (Secure(WEB, identity=True), Secure("a.test", ca=self.ca), Secure("a.test"))
        found = [shown.find(WEB), shown.find("a.test"), admin(), *(store.client(one, alpn) for one in clients)]
        made = {one for one in found if one is not None}
        self.assertEqual(6, len(made))
        return made

    def test_same(self) -> None:
        """Of the same settings, and the same in the files, the very contexts."""
        self.assertEqual(*[self.contexts() for _ in range(2)])

    def test_another(self) -> None:
        """Another whenever a setting that a context goes by, or what is in its files, is another."""
        first = self.contexts()
        self.assertEqual(1, len(self.contexts(require=True) - first))
        # what the admin server shows goes by nothing of a listener's
        self.assertEqual(5, len(self.contexts(alpn=("h2",)) - first))
        SHOP.issue("a.test").write(self.folder, "a")
        self.assertEqual(2, len(self.contexts() - first))
        second = self.contexts()
        Path(self.ca).write_bytes(SHOP.pem + authority("other").pem)
        self.assertEqual(2, len(self.contexts() - second))
        third = self.contexts()
        self.identity = self.other()
        self.assertEqual(2, len(self.contexts() - third))

    def test_system(self) -> None:
        """So is one that believes whom the system does, where whom that is may be others."""
        first = self.contexts()
        self.patch(material, "system", lambda: "others")
        self.assertEqual(1, len(self.contexts() - first))

    def test_secrets(self) -> None:
        """Whoever is told the secrets of connections has contexts of his own."""
        first = self.contexts()
        self.assertEqual(6, len(self.contexts(keylog=lambda line: None) - first))
