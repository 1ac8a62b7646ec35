"""The command line of a program whose settings are environment variables: its help and its version."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from foresail_operator import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping


def read(program: str, purpose: str, variables: Mapping[str, str]) -> None:
    """Answer --help, with what each variable is for, and --version; anything else ends the process with a sentence."""
    width = max(map(len, variables))
    lines = "\n".join(f"  {name:<{width}} {text}" for name, text in variables.items())
    parser = argparse.ArgumentParser(
        prog=program,
        description=purpose,
        epilog=f"environment variables:\n{lines}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.parse_args()
