"""Which files of its context a Dockerfile's image depends on."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

# What a build leaves beside its sources; a .dockerignore keeps it out of the image as well.
IGNORED = {"__pycache__", ".git", ".venv", "node_modules"}


def copied_sources(text: str) -> list[str]:
    """Return the sources of all COPY and ADD instructions that take from the context."""
    found: list[str] = []
    for instruction in instructions(text):
        word, _, rest = instruction.partition(" ")
        if word.upper() in {"COPY", "ADD"} and "--from=" not in rest:
            found += parse_sources(rest)
    return found


def instructions(text: str) -> Iterator[str]:
    """Yield a Dockerfile's instructions, each on one line, without comments."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in re.sub(r"\\\s*\n", " ", "\n".join(lines)).splitlines():
        if line.strip():
            yield line.strip()


def parse_sources(rest: str) -> list[str]:
    """Read what follows COPY: options, sources and, last, the target; in words or as a JSON list."""
    words = [word for word in rest.split() if not word.startswith("--")]
    plain = " ".join(words)
    parts: list[str] = json.loads(plain) if plain.startswith("[") else shlex.split(plain)
    return parts[:-1]


def copied_files(text: str, context: Path) -> list[Path]:
    """Return every file that the image can contain, in a fixed order."""
    files: set[Path] = set()
    for source in copied_sources(text):
        for match in context.glob(source.strip("/")) if source.strip("/") not in {"", "."} else [context]:
            files.update(walk(match))
    return sorted(files)


def walk(path: Path) -> Iterator[Path]:
    """Yield a file, or the files under a folder that aren't left by a build."""
    if path.is_file():
        yield path
    elif path.is_dir() and path.name not in IGNORED:
        for child in path.iterdir():
            yield from walk(child)
