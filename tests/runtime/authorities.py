"""Certificates for tests, as files that a server is told of."""

from __future__ import annotations

import dataclasses
import ssl
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    import pathlib


@dataclasses.dataclass
class Authority:
    """A certificate authority, and what it vouches for in a folder."""

    folder: pathlib.Path
    ca: trustme.CA = dataclasses.field(default_factory=trustme.CA)

    @property
    def cert(self) -> pathlib.Path:
        return self.folder / "tls.crt"

    @property
    def key(self) -> pathlib.Path:
        return self.folder / "tls.key"

    @property
    def root(self) -> pathlib.Path:
        return self.folder / "ca.crt"

    def issue(self, name: str = "localhost") -> None:
        """Write a new server certificate over the old one."""
        made = self.ca.issue_cert(name, "127.0.0.1")
        self.ca.cert_pem.write_to_path(str(self.root))
        made.private_key_pem.write_to_path(str(self.key))
        self.cert.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))

    def client(self, *, certified: bool = False) -> ssl.SSLContext:
        """Return what a client that trusts this authority connects with."""
        context = ssl.create_default_context()
        self.ca.configure_trust(context)
        if certified:
            self.ca.issue_cert("client.example").configure_cert(context)
        return context
