"""`make test` and `make e2e` as lanes beside each other, with stubs that only wait."""

from __future__ import annotations

import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys
from typing import IO, TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = pathlib.Path(__file__).parents[2]
PATIENCE_SECONDS = 20
# Waits for a signal, and makes an ordinary end of Ctrl-C, as pytest does. The pipe ends with the last that holds it.
STUB = f"""#!{sys.executable}
import os, signal, sys
os.write(int(os.environ["PIPE"]), b"started\\n")
try:
    signal.pause()
except KeyboardInterrupt:
    sys.exit(2)
"""


@pytest.fixture
def tests(tmp_path: pathlib.Path) -> pathlib.Path:
    """A project of the script alone, with a pytest that waits."""
    (tmp_path / "scripts").mkdir()
    script = shutil.copy(ROOT / "scripts" / "test", tmp_path / "scripts" / "test")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    stub = tmp_path / ".venv" / "bin" / "pytest"
    stub.write_text(STUB)
    stub.chmod(0o755)
    return pathlib.Path(script)


@pytest.fixture
def pipe() -> Iterator[tuple[IO[bytes], int]]:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as reader:
        yield reader, writing


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_to_the_group_ends_every_lane(
    tests: pathlib.Path, pipe: tuple[IO[bytes], int], number: signal.Signals
) -> None:
    reader, writing = pipe
    given = {"PATH": os.environ["PATH"], "PIPE": str(writing)}
    with subprocess.Popen(
        [tests, "e2e"], env=given, pass_fds=[writing], stdout=subprocess.DEVNULL, start_new_session=True
    ) as script:
        os.close(writing)
        assert [reader.readline() for _ in range(3)] == [b"started\n"] * 3
        os.killpg(script.pid, number)
        ended = bool(select.select([reader], [], [], PATIENCE_SECONDS)[0])
        if not ended:
            os.killpg(script.pid, signal.SIGKILL)
        assert ended
        assert reader.read() == b""
        assert script.wait() in (-number, 128 + number)
