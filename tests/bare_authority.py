"""A certificate authority without key identifiers, as clusters' and companies' own often are, EKS' among them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import ssl
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    import pathlib

    import pytest

PEM = serialization.Encoding.PEM


def verify_strictly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every Python's default contexts ask of certificates what those of 3.13 and later do."""
    made = ssl.create_default_context

    def strict(*sources: object, **more: object) -> ssl.SSLContext:
        context = made(*sources, **more)  # type: ignore[arg-type]  # passed on as they came
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)


@dataclasses.dataclass
class BareAuthority:
    """Its certificate, `ca.crt`, and what it issues lie in the folder as PEM."""

    folder: pathlib.Path
    key: ec.EllipticCurvePrivateKey = dataclasses.field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        self._write("ca", self.key, self._begin("authority", self.key).add_extension(constraints, critical=True))

    def context(self, name: str, purpose: ssl.Purpose = ssl.Purpose.CLIENT_AUTH) -> ssl.SSLContext:
        """Return a context with a certificate of this name: a server's, or with SERVER_AUTH a client's."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.DNSName(name)])
        self._write(name, key, self._begin(name, key).add_extension(names, critical=False))
        context = ssl.create_default_context(purpose)
        context.load_cert_chain(self.folder / f"{name}.crt", self.folder / f"{name}.key")
        return context

    def _begin(self, name: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(hours=1))
        )

    def _write(self, name: str, key: ec.EllipticCurvePrivateKey, begun: x509.CertificateBuilder) -> None:
        plain = serialization.PrivateFormat.TraditionalOpenSSL
        (self.folder / f"{name}.key").write_bytes(key.private_bytes(PEM, plain, serialization.NoEncryption()))
        (self.folder / f"{name}.crt").write_bytes(begun.sign(self.key, hashes.SHA256()).public_bytes(PEM))
