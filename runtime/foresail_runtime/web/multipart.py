"""Finds the picture in a form's body (multipart/form-data, RFC 7578); the body is in memory and bounded already."""

from __future__ import annotations

import email.message
import re
from typing import Final

from foresail_runtime import errors

MAX_PARTS: Final = 64
_FILE: Final = re.compile(rb";\s*filename\*?\s*=", re.IGNORECASE)


def first_file(content_type: str, body: bytes) -> bytes:
    """Return the first part that is a file, else the first part; the body itself if it is no form.

    Raises:
        InvalidRequest: The body says it is a form, and is not.
    """
    header = email.message.Message()
    header["Content-Type"] = content_type
    if header.get_content_maintype() != "multipart":
        return body
    boundary = header.get_param("boundary")
    if not isinstance(boundary, str) or not boundary:
        raise errors.InvalidRequest("the Content-Type is multipart and names no boundary")
    parts = _split(body, boundary.encode(errors="surrogateescape"))
    for head, data in parts:
        if _FILE.search(head):
            return data
    return parts[0][1]


def _split(body: bytes, boundary: bytes) -> list[tuple[bytes, bytes]]:
    # Between two boundaries: CRLF, headers, an empty line, the content, CRLF. The last boundary ends in "--". A line
    # that goes on after the boundary is content that happens to begin like one.
    line = rb"\r\n--" + re.escape(boundary) + rb"(?=--|[ \t]*(?:\r\n|$))"
    pieces = re.split(line, b"\r\n" + body)
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise errors.InvalidRequest("the form has no part between its boundaries, or ends early")
    if len(pieces) > MAX_PARTS:
        raise errors.InvalidRequest(f"the form has {len(pieces) - 2} parts: send one picture")
    parts = []
    for piece in pieces[1:-1]:
        head, separator, data = piece.partition(b"\r\n\r\n")
        if not separator:
            raise errors.InvalidRequest("a part of the form has no end of its headers")
        parts.append((head, data))
    return parts
