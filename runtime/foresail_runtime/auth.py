"""Who may call: bearer tokens from a file, client certificates, and the few paths that stay open.

Tokens are kept as digests and all of them are compared, each in constant time: neither their text nor which of
them was nearly right can be read from how long a refusal takes.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from pathlib import Path
from typing import Final

from foresail_runtime import contract, errors, logs

log = logging.getLogger(__name__)

OPEN_PATHS: Final = frozenset({contract.LIVE_PATH, contract.READY_PATH, contract.LOAD_PATH})
"""Asked by kubelets, which have neither tokens nor certificates, and by the operator, which reads nobody's Secrets."""
MAX_TOKENS: Final = 100
_CHALLENGE: Final = 'Bearer realm="foresail"'
_FILE_LIMIT_BYTES: Final = 1_000_000


class Guard:
    """Refuses callers; read on the loop's thread, refreshed on another: it changes by one assignment."""

    def __init__(self, tokens: str | None, *, certificates: bool) -> None:
        """Read the tokens' file; `certificates` says whether callers have to have one.

        Raises:
            ModelUnusable: The file can't be read, or has no token in it.
        """
        self._path = None if tokens is None else Path(tokens)
        self._certificates = certificates
        self._digests: tuple[bytes, ...] = () if self._path is None else read(self._path)

    @property
    def open(self) -> bool:
        """Whether everyone may call."""
        return self._path is None and not self._certificates

    def check(self, authorization: str | None, *, certified: bool) -> None:
        """Let a caller pass; `certified` says whether it has shown a certificate that holds.

        Raises:
            Unauthorized: It may not.
        """
        if self._certificates and not certified:
            raise errors.Unauthorized("a client certificate is needed, from an authority that this server was told of")
        if self._path is None:
            return
        if authorization is None:
            raise errors.Unauthorized("a token is needed: send the header `Authorization: Bearer …`", _CHALLENGE)
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not _is_among(token.strip(), self._digests):
            raise errors.Unauthorized("the token is not one of this server's", f'{_CHALLENGE}, error="invalid_token"')

    def refresh(self) -> None:
        """Look at the file again; one that makes no sense changes nothing but the log."""
        if self._path is None:
            return
        try:
            digests = read(self._path)
        except errors.ModelUnusable as failure:
            log.warning("the tokens stay as they were", extra=logs.fields(problem=failure.message))
            return
        if digests != self._digests:
            self._digests = digests
            log.info("tokens read again", extra=logs.fields(count=len(digests)))


def read(path: Path) -> tuple[bytes, ...]:
    """Return the digest of each token in a file: one a line, and lines that begin with # are remarks.

    Raises:
        ModelUnusable: It can't be read, or has no token in it, or too many.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_FILE_LIMIT_BYTES)
    except OSError as error:
        raise errors.ModelUnusable(
            "TokensUnreadable", f"the tokens in {path} can't be read: {error.strerror}"
        ) from error
    lines = [line.strip() for line in data.splitlines()]
    tokens = [line for line in lines if line and not line.startswith(b"#")]
    if not 1 <= len(tokens) <= MAX_TOKENS:
        raise errors.ModelUnusable(
            "TokensUnreadable", f"{path} has {len(tokens)} tokens: write one a line, {MAX_TOKENS} at most"
        )
    return tuple(hashlib.sha256(token).digest() for token in tokens)


def _is_among(token: str, digests: tuple[bytes, ...]) -> bool:
    given = hashlib.sha256(token.encode(errors="surrogateescape")).digest()
    found = False
    for digest in digests:  # all of them, found or not
        found |= hmac.compare_digest(given, digest)
    return found
