"""The inside of a cluster: process 1 of its namespaces, and the supervisor of its components.

Run by the keeper as `python -m foresail_testbed.machine RUN_FOLDER` inside `unshare`. Tells how far it is as JSON
lines on standard output until it is ready, then takes orders on a Unix socket.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from foresail_testbed import boot, control, errors, layout

EXIT_FAILED = 3


def main() -> int:
    """Split into process 1, which buries orphans, and the supervisor, with which everything ends."""
    run = layout.Run(Path(sys.argv[1]))
    supervisor = os.fork()
    if supervisor == 0:
        os._exit(supervise(run))
    silence()
    return bury_until(supervisor)


def bury_until(supervisor: int) -> int:
    """Collect ended processes until the supervisor is among them; then process 1 ends, and the rest with it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    while True:
        ended, status = os.wait()
        if ended == supervisor:
            return os.waitstatus_to_exitcode(status)


def supervise(run: layout.Run) -> int:
    """Start the cluster, say so, and serve orders for ever."""
    began = time.monotonic()
    machine = boot.Machine(run, report)
    try:
        machine.start()
        server = control.listen(run.socket)
    except (errors.TestbedError, OSError, subprocess.SubprocessError) as error:
        report(event="failed", message=errors.explain(error), logs=machine.log_ends())
        return EXIT_FAILED
    report(event="ready", seconds=round(time.monotonic() - began, 2))
    silence()
    control.serve(server, machine.orders())
    return 0


def report(**event: Any) -> None:
    """Tell the starter one thing."""
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def silence() -> None:
    """Let go of the starter's pipe."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
