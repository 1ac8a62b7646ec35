"""Digests of values: equal values have equal digests, in every process and release."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def short(value: Any, length: int = 10) -> str:
    """Return the first hex digits of a digest of a JSON value; the order of keys does not count."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:length]
