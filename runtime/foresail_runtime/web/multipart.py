"""Finds the picture and the options in a form's body (multipart/form-data, RFC 7578).

The body is in memory and bounded already.
"""

from __future__ import annotations

import email.message
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from foresail_runtime import errors

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

MAX_PARTS: Final = 64
MAX_OPTION_BYTES: Final = 8192
"""As much as a query may have."""
_FILE: Final = re.compile(rb";\s*filename\*?\s*=", re.IGNORECASE)
_NAME: Final = re.compile(rb";\s*name\s*=\s*(?:\"([^\"\r\n]*)\"|([^\s;]+))", re.IGNORECASE)


class Form(NamedTuple):
    """What somebody sent, as a form or as it is."""

    picture: bytes
    """Empty where there is none."""
    options: Mapping[str, str]
    """Those fields whose names were asked for."""


def is_form(content_type: str) -> bool:
    """Tell whether a body of this type is a form."""
    return _header(content_type).get_content_maintype() == "multipart"


def read(content_type: str, body: bytes, options: Collection[str]) -> Form:
    """Return the part that is a file, else the first that is no option; the body itself if it is no form.

    Fields of any other name are left aside: pages send more than they are asked for.

    Raises:
        InvalidRequest: The body says it is a form, and is not; or it holds two files, or an option twice
            or of many bytes.
    """
    header = _header(content_type)
    if header.get_content_maintype() != "multipart":
        return Form(body, {})
    boundary = header.get_param("boundary")
    if not isinstance(boundary, str) or not boundary:
        raise errors.InvalidRequest("the Content-Type is multipart and names no boundary")
    parts = _split(body, boundary.encode(errors="surrogateescape"))
    files = [data for head, data in parts if _FILE.search(head)]
    fields = [(_name(head), data) for head, data in parts if not _FILE.search(head)]
    if sum(map(bool, files)) > 1:  # a page sends an empty one for a field that nobody filled in
        raise errors.InvalidRequest("the form has more than one file: send one picture a request")
    others = [data for name, data in fields if name not in options]
    picture = next(filter(None, files), b"") if files else next(iter(others), b"")
    return Form(picture, _options([(name, data) for name, data in fields if name in options]))


def _header(content_type: str) -> email.message.Message:
    header = email.message.Message()
    header["Content-Type"] = content_type
    return header


def _name(head: bytes) -> str:
    found = _NAME.search(head)
    return (found[1] if found[1] is not None else found[2]).decode(errors="replace") if found else ""


def _options(fields: list[tuple[str, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, data in fields:
        if name in found:
            raise errors.InvalidRequest(f"the form has the option {name} twice: send it once")
        if len(data) > MAX_OPTION_BYTES:
            raise errors.InvalidRequest(f"the option {name} has {len(data)} bytes: at most {MAX_OPTION_BYTES} are read")
        found[name] = data.decode(errors="replace")
    return found


def _split(body: bytes, boundary: bytes) -> list[tuple[bytes, bytes]]:
    # Between two boundaries: CRLF, headers, an empty line, the content, CRLF. The last boundary ends in "--". A line
    # that goes on after the boundary is content that happens to begin like one.
    line = rb"\r\n--" + re.escape(boundary) + rb"(?=--|[ \t]*(?:\r\n|$))"
    most = MAX_PARTS + 2  # what is before the first boundary and behind the last are pieces, too
    pieces = re.split(line, b"\r\n" + body, maxsplit=most)
    if len(pieces) > most:
        raise errors.InvalidRequest(f"the form has more than {MAX_PARTS} parts: send one picture")
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise errors.InvalidRequest("the form has no part between its boundaries, or ends early")
    parts = []
    for piece in pieces[1:-1]:
        head, separator, data = piece.partition(b"\r\n\r\n")
        if not separator:
            raise errors.InvalidRequest("a part of the form has no end of its headers")
        parts.append((head, data))
    return parts
