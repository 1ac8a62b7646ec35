"""Gets a model's file: from a path, a mounted volume or ConfigMap, or an http(s) address, and checks it.

`locate` says where the file is or is to go, `download` fetches it, `unpack` takes it out of an archive, `digest` and
`external` check it. `folder` looks at a folder of many models, `config` reads their settings, `layout` decides.
Files are untrusted: limited in size, compared with their digest, and nothing they name may lie outside their folder.
"""

from __future__ import annotations

import contextlib
import os
import urllib.parse
from typing import TYPE_CHECKING

from foresail_runtime import errors

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def reading() -> Iterator[None]:
    """Put what the system says of a model's files into words, around all that reads them.

    Raises:
        ModelUnusable: A file that is there can't be read.
    """
    try:
        yield
    except OSError as error:
        remedy = (
            f"let user {os.geteuid()}, as whom the server runs, read it"
            if isinstance(error, PermissionError)
            else "look at the volume or the disk"
        )
        place = error.filename or "the model's files"
        raise errors.ModelUnusable(
            "ModelUnreadable", f"{place} can't be read: {error.strerror or error}: {remedy}"
        ) from error


def public_address(uri: str) -> str:
    """Return an address without what may be secret in it: user, password and query.

    Raises:
        ModelUnusable: It is no address at all; not even its host can be told from what may be secret.
    """
    try:
        parts = urllib.parse.urlsplit(uri)
    except ValueError as error:  # brackets that hold no IPv6 address
        raise errors.ModelUnusable(
            "SourceUnsupported", "the model's address can't be read: write http(s)://HOST/PATH, an IPv6 host in [ ]"
        ) from error
    host = parts.netloc.rpartition("@")[2]
    return urllib.parse.urlunsplit((parts.scheme, host, parts.path, "", ""))
