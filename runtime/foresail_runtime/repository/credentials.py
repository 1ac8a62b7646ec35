"""What a Secret says about getting at an http(s) source: a token, or a user and password, and a CA of its own.

A Secret is a folder with a file a key. `token` is sent as a bearer token; `username` and `password` as basic
authentication; `ca.crt` is trusted beside the usual authorities. None of them ever reaches a message or a log, and
the HTTP client sends them to no other host than the first, whatever it redirects to.
"""

from __future__ import annotations

import dataclasses
import ssl
from typing import TYPE_CHECKING, Final

import aiohttp

from foresail_runtime import errors

if TYPE_CHECKING:
    from pathlib import Path

TOKEN: Final = "token"  # noqa: S105  # a key's name
USERNAME: Final = "username"
PASSWORD: Final = "password"  # noqa: S105  # a key's name
AUTHORITY: Final = "ca.crt"


@dataclasses.dataclass(frozen=True, slots=True)
class Credentials:
    """What to send, and whom to trust."""

    headers: dict[str, str] = dataclasses.field(repr=False)
    trust: ssl.SSLContext


def read(folder: Path) -> Credentials:
    """Return what the Secret holds; blocks on the disk.

    Raises:
        ModelUnusable: A file can't be read, the CA is none, or a user name has no password.
    """
    if not folder.is_dir():
        return Credentials({}, _usual_trust())
    try:
        return Credentials(_headers(folder), _trust(folder / AUTHORITY))
    except (OSError, UnicodeDecodeError, ssl.SSLError) as error:
        raise errors.ModelUnusable("CredentialsUnreadable", f"the credentials can't be read: {error}") from error


def _headers(folder: Path) -> dict[str, str]:
    token, username, password = (_text(folder / key) for key in (TOKEN, USERNAME, PASSWORD))
    if token is not None:
        return {"Authorization": f"Bearer {token}"}
    if username is None:
        return {}
    if password is None:
        raise errors.ModelUnusable("CredentialsUnreadable", f"the Secret has {USERNAME!r} and no {PASSWORD!r}")
    return {"Authorization": aiohttp.encode_basic_auth(username, password)}


def _text(path: Path) -> str | None:
    return path.read_text().strip() if path.is_file() else None


def _trust(path: Path) -> ssl.SSLContext:
    context = _usual_trust()
    if path.is_file():
        context.load_verify_locations(path)
    return context


def _usual_trust() -> ssl.SSLContext:
    """Return a context that trusts the machine's authorities and takes what curl takes.

    From Python 3.13 on a default context refuses authorities without key identifiers (VERIFY_X509_STRICT), which many
    a company's own is. Chains, dates and names are checked as ever.
    """
    context = ssl.create_default_context()
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
