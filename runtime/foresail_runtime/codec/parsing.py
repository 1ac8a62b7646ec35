"""What to say of bytes that are no JSON, behind the parser's own words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import orjson


def hint(error: orjson.JSONDecodeError, instead: str) -> str:
    """Return what to do about it, if that can be told; `instead` is how NaN is sent here, which JSON lacks."""
    if error.doc.startswith(("NaN", "Infinity"), error.pos):
        return f"; JSON has no NaN and no infinity: {instead}"
    if "byte order mark" in str(error):
        return "; leave out the three bytes before it"
    return "; no datatype holds so large a number" if "infinity" in str(error) else ""
