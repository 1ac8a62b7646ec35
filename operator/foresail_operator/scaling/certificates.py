"""The metrics API's own certificate authority and serving certificate: made here, renewed long before they end.

One Secret holds them, so that every replica of the operator serves the same chain. When the authority is renewed the
old one stays in the bundle that the APIService trusts until it ends, so that no replica is distrusted meanwhile.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Mapping

CA_LIFETIME: Final = dt.timedelta(days=3650)
CA_RENEWED: Final = dt.timedelta(days=365)
"""Renewed when less than this is left."""
SERVING_LIFETIME: Final = dt.timedelta(days=365)
SERVING_RENEWED: Final = dt.timedelta(days=90)
_BACKDATED: Final = dt.timedelta(hours=1)
"""Clocks differ."""
CA_KEY: Final = "ca.key"
CA_BUNDLE: Final = "ca.crt"
TLS_CERTIFICATE: Final = "tls.crt"
TLS_KEY: Final = "tls.key"


@dataclasses.dataclass(frozen=True, slots=True)
class Chain:
    """What the Secret holds, in PEM. The bundle's first certificate is the one that signs."""

    ca_key: bytes
    ca_bundle: bytes
    certificate: bytes
    key: bytes

    def data(self) -> dict[str, bytes]:
        """Return the Secret's data, not yet base64."""
        return {
            CA_KEY: self.ca_key,
            CA_BUNDLE: self.ca_bundle,
            TLS_CERTIFICATE: self.certificate,
            TLS_KEY: self.key,
        }

    @classmethod
    def of(cls, data: Mapping[str, bytes]) -> Chain | None:
        """Read what data gave; None if a part is missing."""
        try:
            return cls(data[CA_KEY], data[CA_BUNDLE], data[TLS_CERTIFICATE], data[TLS_KEY])
        except KeyError:
            return None


def renew(chain: Chain | None, dns_names: tuple[str, ...], now: dt.datetime) -> Chain:
    """Return the chain to use from now on: the same one while it is good for these names."""
    authority = _authority(chain, now)
    if chain is not None and authority is None and _serves(chain, dns_names, now):
        return chain
    if authority is None and chain is not None:
        ca_key, bundle = chain.ca_key, chain.ca_bundle
    else:
        ca_key, bundle = authority or _make_authority((), now)
    certificate, key = _make_serving(ca_key, bundle, dns_names, now)
    return Chain(ca_key, bundle, certificate, key)


def _authority(chain: Chain | None, now: dt.datetime) -> tuple[bytes, bytes] | None:
    """Return a new authority and bundle, None when the present one is good for long enough."""
    if chain is None:
        return _make_authority((), now)
    try:
        bundle = x509.load_pem_x509_certificates(chain.ca_bundle)
        serialization.load_pem_private_key(chain.ca_key, None)
    except ValueError:
        return _make_authority((), now)
    if bundle[0].not_valid_after_utc - now > CA_RENEWED and _begun(bundle[0], now):
        return None
    return _make_authority(tuple(old for old in bundle if old.not_valid_after_utc > now and _begun(old, now)), now)


def _begun(certificate: x509.Certificate, now: dt.datetime) -> bool:
    """Tell whether a certificate holds already; one that a clock that was ahead has made does not for long."""
    return certificate.not_valid_before_utc <= now


def _serves(chain: Chain, dns_names: tuple[str, ...], now: dt.datetime) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(chain.certificate)
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificates(chain.ca_bundle)[0])
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, TypeError, x509.ExtensionNotFound):
        return False
    lasts = certificate.not_valid_after_utc - now > SERVING_RENEWED and _begun(certificate, now)
    return lasts and set(names.get_values_for_type(x509.DNSName)) == set(dns_names)


def _make_authority(kept: tuple[x509.Certificate, ...], now: dt.datetime) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"foresail-metrics-ca-{now:%Y%m%d%H%M%S}")
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(name, name, key.public_key(), now, CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _pem(key), b"".join(_certificate_pem(each) for each in (certificate, *kept))


def _make_serving(ca_key: bytes, bundle: bytes, dns_names: tuple[str, ...], now: dt.datetime) -> tuple[bytes, bytes]:
    issuer = x509.load_pem_x509_certificates(bundle)[0]
    issuer_key = serialization.load_pem_private_key(ca_key, None)
    if not isinstance(issuer_key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"the certificate authority's key is a {type(issuer_key).__name__}, not ours")
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(_name(dns_names[0][:64]), issuer.subject, key.public_key(), now, SERVING_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in dns_names]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    return _certificate_pem(certificate), _pem(key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: dt.datetime, lifetime: dt.timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + lifetime)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _certificate_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
