"""What is kept of an object."""

from __future__ import annotations

import tracemalloc

from foresail_operator import live
from tests.operator.conftest import make_raw


def test_a_kept_object_takes_no_more_memory_than_its_text() -> None:
    raw = make_raw()
    length = len(live.trim(raw).body) + len(live.trim(raw).status)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = [live.trim(raw) for _ in range(100)]
    each = (tracemalloc.get_traced_memory()[0] - before) / len(kept)
    tracemalloc.stop()
    assert each < length + 300
