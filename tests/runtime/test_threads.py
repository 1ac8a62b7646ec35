"""The package's docstring says which thread owns what: so it has to name all of them."""

from __future__ import annotations

import pathlib
import re

import foresail_runtime

SOURCES = pathlib.Path(foresail_runtime.__file__).parent
NAMED = re.compile(
    r'ThreadPoolExecutor\([^"\n]*"([a-z]+)|Thread\([^"\n]*name="([a-z]+)|name = f"([a-z]+) \{description'
)


def test_every_thread_that_is_started_is_in_the_docstring() -> None:
    texts = [path.read_text() for path in SOURCES.rglob("*.py")]
    names = {name for text in texts for found in NAMED.findall(text) for name in found if name}
    assert {"worker", "large", "watchdog", "lines", "engine"} <= names
    started = sum(len(re.findall(r"ThreadPoolExecutor\(|threading\.Thread\(", text)) for text in texts)
    assert started == len(names), "one of them has no name"
    told = set(re.findall(r"^ ([a-z]+) |`([a-z]+)`", foresail_runtime.__doc__ or "", re.MULTILINE))
    assert names <= {name for found in told for name in found}
