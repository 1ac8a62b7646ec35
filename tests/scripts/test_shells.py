"""The scripts under an old bash: macOS has 3.2."""

from __future__ import annotations

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
SCRIPTS = [ROOT / ".ci" / "run", *(path for path in (ROOT / "scripts").iterdir() if path.is_file() and not path.suffix)]
MAY_BE_EMPTY = re.compile(r'\b(\w+)=\(\)|read -r -a (\w+) <<<"\$\{\w+:-\}"|read -r -d \'\' -a (\w+)')
WANTS_A_CLUSTER = re.compile(r"^(?:async )?def test_[^)]*\b(?:control_plane|plane|cluster|namespace)\b", re.MULTILINE)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_array_that_may_be_empty_is_never_unbound(path: pathlib.Path) -> None:
    text = path.read_text()
    names = {name for found in MAY_BE_EMPTY.findall(text) for name in found if name}
    bare = [name for name in sorted(names) if re.search(rf'(?<!\+)"\$\{{{name}\[@\]\}}"', text)]
    assert bare == []


def test_files_with_tests_that_want_a_cluster_spell_out_its_mark() -> None:
    """By which `scripts/test` finds them; a mark that came by another way would leave them out in silence."""
    texts = {path: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}
    wanting = [path for path, text in texts.items() if WANTS_A_CLUSTER.search(text)]
    assert wanting
    assert [path for path in wanting if not re.search(r"mark\.(cluster|e2e)\b", texts[path])] == []
