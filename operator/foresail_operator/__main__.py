"""`foresail-operator`: runs one replica of the operator; its settings are environment variables."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import uvloop

import foresail_operator.lean  # noqa: F401  # before anything that imports kopf

# isort: split
from foresail_operator import access, app, arguments, errors, logs, settings, sockets


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    arguments.read("foresail-operator", "Turns ModelDeployments into model servers.", settings.HELP)
    try:
        chosen = settings.from_environment(os.environ)
        logs.begin(chosen.log_level)
        sockets.allow_many()  # one for each pod
        uvloop.run(_run(chosen))
    except* errors.OperatorError as group:
        sys.exit(f"foresail-operator: {group.exceptions[0]}")


async def _run(chosen: settings.Settings) -> None:
    found = await access.find(os.environ)
    stop = asyncio.Event()
    async with found.session() as session:
        operator = app.Operator(chosen, found, session)
        async with asyncio.TaskGroup() as group:
            group.create_task(_obey_signals(operator, stop))
            group.create_task(_run_to_the_end(operator, stop))


async def _run_to_the_end(operator: app.Operator, stop: asyncio.Event) -> None:
    try:
        await operator.run(stop)
    finally:
        stop.set()


async def _obey_signals(operator: app.Operator, stop: asyncio.Event) -> None:
    """Take the signals over from kopf, which would end the watches first and the writing after."""
    watching = asyncio.create_task(operator.watching.wait())
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({watching, stopped}, return_when=asyncio.FIRST_COMPLETED)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stopped
    watching.cancel()


if __name__ == "__main__":
    main()
