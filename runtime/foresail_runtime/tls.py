"""The server's certificate, which follows its files: rotated on disk, it is served to the next connection.

Connections that are there keep what they began with. A kubelet swaps all files of a Secret at once, but a hand or a
script may not: what does not fit together is not taken, and looked at again a moment later.
"""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Final, NamedTuple

from foresail_runtime import errors, logs

log = logging.getLogger(__name__)

_FILE_LIMIT_BYTES: Final = 1_000_000


class Material(NamedTuple):
    """The files' contents, in PEM."""

    cert: bytes
    key: bytes
    ca: bytes | None
    """Authorities of client certificates; None: none are asked for."""


class Identity:
    """What the server shows, and whom it believes; read on any thread, refreshed on one."""

    def __init__(self, cert: str, key: str, ca: str | None = None) -> None:
        """Read the files.

        Raises:
            ModelUnusable: One can't be read, or they don't fit together.
        """
        self._paths = (Path(cert), Path(key), None if ca is None else Path(ca))
        self._material, self._context = self._load()
        self._problem = ""

    @property
    def material(self) -> Material:
        """The contents that are served now: another object once they have changed."""
        return self._material

    @property
    def asks_for_certificates(self) -> bool:
        """Whether callers have to have one."""
        return self._paths[2] is not None

    def listener_context(self) -> ssl.SSLContext:
        """Return a context for a listening socket, which takes the newest certificate for each connection."""
        context = self._context

        def choose(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
            connection.context = self._context

        context.sni_callback = choose
        return context

    def refresh(self) -> None:
        """Look at the files again; what makes no sense changes nothing but the log."""
        try:
            if self._read() == self._material:
                return
            self._material, self._context = self._load()
        except errors.ModelUnusable as failure:
            if failure.message != self._problem:
                self._problem = failure.message
                log.warning("the certificate stays as it was", extra=logs.fields(problem=failure.message))
            return
        self._problem = ""
        log.info("certificate read again", extra=logs.fields(file=str(self._paths[0])))

    def _load(self) -> tuple[Material, ssl.SSLContext]:
        material = self._read()
        cert, key, ca = self._paths
        try:
            context = _context(cert, key, material.ca)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise errors.ModelUnusable(
                "TlsUnreadable",
                f"{cert} and {key} are no certificate and its key in PEM, or don't fit together"
                + (f", or {ca} is no certificate" if ca else "")
                + f": {error}",
            ) from error
        if self._read() != material:  # the files were swapped meanwhile: whose halves are in the context?
            raise errors.ModelUnusable("TlsUnreadable", f"{cert} and {key} are being changed")
        return material, context

    def _read(self) -> Material:
        cert, key, ca = self._paths
        return Material(_bytes(cert), _bytes(key), None if ca is None else _bytes(ca))


def _context(cert: Path, key: Path, ca: bytes | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(cert, key, password=_no_password)
    if ca is not None:
        context.load_verify_locations(cadata=ca.decode("ascii"))
        # Not CERT_REQUIRED: kubelets have none and must reach the probes. Who may reach what is `auth`'s business.
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _no_password() -> bytes:
    raise ValueError("the key has a password, which nobody is there to type")


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_FILE_LIMIT_BYTES)
    except OSError as error:
        raise errors.ModelUnusable("TlsUnreadable", f"{path} can't be read: {error.strerror}") from error
