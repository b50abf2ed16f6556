"""
L{benchmark.certificates}: what servers and clients of a run show.
"""

import ssl
import stat
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.trial.unittest import SynchronousTestCase

from benchmark import certificates


class MakeTests(SynchronousTestCase):
    def setUp(self) -> None:
        path = Path(self.mktemp())
        path.mkdir()
        self.files = certificates.make(path)

    def handshake(self, name: str) -> ssl.SSLObject:
        """A client that checks everything, and a server that asks for the client's certificate, in memory."""
        client = ssl.create_default_context(cafile=str(self.files.authority))
        server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.files.authority))
        server.verify_mode = ssl.CERT_REQUIRED
        client.load_cert_chain(self.files.certificate, self.files.key)
        server.load_cert_chain(self.files.both)
        there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
        asks = client.wrap_bio(back, there, server_hostname=name)
        answers = server.wrap_bio(there, back, server_side=True)
        for _ in range(3):
            for side in (asks, answers):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    pass
        answers.getpeercert()
        return asks

    def test_verified(self) -> None:
        """Each side believes the other, by the mesh's name, localhost and the address."""
        for name in (certificates.NAME, "localhost", "127.0.0.1"):
            self.assertEqual("TLSv1.3", self.handshake(name).version())
        self.assertRaises(ssl.SSLCertVerificationError, self.handshake, "elsewhere.local")

    def test_p256(self) -> None:
        """Everybody's key is of the same kind: ECDSA P-256."""
        key = x509.load_pem_x509_certificate(self.files.certificate.read_bytes()).public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        self.assertEqual("secp256r1", key.curve.name)

    def test_secret(self) -> None:
        """Nobody else may read a key: lproxy would warn."""
        for path in (self.files.key, self.files.both):
            self.assertEqual(0o600, stat.S_IMODE(path.stat().st_mode))
