"""Finds the picture in a form's body (multipart/form-data, RFC 7578); the body is in memory and bounded already."""

from __future__ import annotations

import email.message
from typing import Final

from foresail_runtime import errors

MAX_PARTS: Final = 64


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
    parts = _split(body, boundary.encode())
    for head, data in parts:
        if b"filename" in head.lower():
            return data
    return parts[0][1]


def _split(body: bytes, boundary: bytes) -> list[tuple[bytes, bytes]]:
    # Between two boundaries: CRLF, headers, an empty line, the content, CRLF. The last boundary ends in "--".
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary)
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
