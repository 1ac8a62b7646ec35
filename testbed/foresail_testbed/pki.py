"""Certificates of a cluster: two authorities, and a key pair a component.

None has a key identifier, as those of EKS and of old clusters have none: what trusts ours trusts theirs.
"""

import dataclasses
import datetime as dt
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from foresail_testbed import layout, options

LIFETIME = dt.timedelta(days=30)
ADDRESSES = ("127.0.0.1", options.API_ADDRESS, options.API_SERVICE_IP)
NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")
# User and group of each client; Kubernetes' own bootstrap roles know these names.
CLIENTS = {
    "admin": ("admin", "system:masters"),
    "kube-controller-manager": ("system:kube-controller-manager", ""),
    "kube-scheduler": ("system:kube-scheduler", ""),
    "kube-proxy": ("system:kube-proxy", ""),
    "kubelet-client": ("kube-apiserver-kubelet-client", "system:masters"),
    "kwok": ("kwok", "system:masters"),
    "metrics-server": ("metrics-server", "system:masters"),
    "coredns": ("coredns", "system:masters"),
}


@dataclasses.dataclass(frozen=True)
class Authority:
    """A certificate authority that lives as long as the run."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def subject(user: str, group: str = "") -> x509.Name:
    """Build a subject whose common name is the user and whose organization is the group."""
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, user)]
    if group:
        parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, group))
    return x509.Name(parts)


def issue_authority(run: layout.Run, name: str, now: dt.datetime) -> Authority:
    """Make an authority and write its key pair."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = start_certificate(subject(name), subject(name), key, now)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    write_pair(run, name, key, certificate)
    return Authority(key, certificate)


@dataclasses.dataclass(frozen=True)
class Holder:
    """Whom a certificate names, and the addresses and names under which they serve."""

    who: x509.Name
    addresses: tuple[str, ...] = ()
    names: tuple[str, ...] = ()

    def alternatives(self) -> list[x509.GeneralName]:
        """Return the subject's alternative names."""
        found: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_address(a)) for a in self.addresses]
        return [*found, *(x509.DNSName(name) for name in self.names)]


def issue(run: layout.Run, authority: Authority, name: str, holder: Holder, now: dt.datetime) -> None:
    """Make a key pair for client and server use and write it."""
    key = ec.generate_private_key(ec.SECP256R1())
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    builder = start_certificate(holder.who, authority.certificate.subject, key, now)
    builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    if holder.alternatives():
        builder = builder.add_extension(x509.SubjectAlternativeName(holder.alternatives()), critical=False)
    write_pair(run, name, key, builder.sign(authority.key, hashes.SHA256()))


def start_certificate(
    who: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: dt.datetime
) -> x509.CertificateBuilder:
    """Begin a certificate; it is valid from an hour ago, for clocks differ."""
    return (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + LIFETIME)
    )


def write_pair(run: layout.Run, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    """Write key and certificate as PEM."""
    write_key(run.key(name), key)
    run.certificate(name).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """Write a private key as PEM, in the one form that Kubernetes also reads as a public key."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )


def write_all(run: layout.Run, now: dt.datetime) -> None:
    """Make everything a cluster needs, one node for each possible index included."""
    authority = issue_authority(run, "ca", now)
    front = issue_authority(run, "front-proxy-ca", now)
    issue(run, front, "front-proxy-client", Holder(subject("front-proxy-client")), now)
    issue(run, authority, "kube-apiserver", Holder(subject("kube-apiserver"), ADDRESSES, NAMES), now)
    for name, (user, group) in CLIENTS.items():
        issue(run, authority, name, Holder(subject(user, group)), now)
    for index in range(1, options.MAX_NODES + 1):
        node = options.NodePlan(index)
        who = subject(f"system:node:{node.name}", "system:nodes")
        issue(run, authority, node.name, Holder(who, (node.address,), (node.name,)), now)
    write_key(run.key("service-account"), ec.generate_private_key(ec.SECP256R1()))
