"""The scripts under an old bash: macOS has 3.2."""

from __future__ import annotations

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
SCRIPTS = [ROOT / ".ci" / "run", *(path for path in (ROOT / "scripts").iterdir() if path.is_file() and not path.suffix)]
MAY_BE_EMPTY = re.compile(r'\b(\w+)=\(\)|read -r -a (\w+) <<<"\$\{\w+:-\}"')


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_array_that_may_be_empty_is_never_unbound(path: pathlib.Path) -> None:
    text = path.read_text()
    names = {first or second for first, second in MAY_BE_EMPTY.findall(text)}
    bare = [name for name in sorted(names) if re.search(rf'(?<!\+)"\$\{{{name}\[@\]\}}"', text)]
    assert bare == []
