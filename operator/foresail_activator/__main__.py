"""`foresail-activator`: runs one replica of the activator; its settings are environment variables."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import uvloop

from foresail_activator import app, settings
from foresail_operator import access, arguments, errors, logs, sockets


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    arguments.read(
        "foresail-activator", "Holds requests for models without a ready replica, and wakes them.", settings.HELP
    )
    try:
        chosen = settings.from_environment(os.environ)
        logs.begin(chosen.log_level)
        sockets.allow_many()
        uvloop.run(_run(chosen))
    except* errors.OperatorError as group:
        sys.exit(f"foresail-activator: {group.exceptions[0]}")


async def _run(chosen: settings.Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    found = await access.find(os.environ)
    async with found.session() as session:
        await app.Activator(chosen, found, session).run(stop)


if __name__ == "__main__":
    main()
