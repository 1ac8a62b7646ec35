"""The one process outside a cluster that knows it: starts it, watches its owner, and clears up after it.

Run as `python -m foresail_testbed.keeper NAME OWNER_PID` (0: no owner) with options and programs as JSON on standard
input. It ends the cluster when the owner has ended (however: it watches a pidfd), when told by SIGTERM, or when the
inside ended by itself. Should the keeper itself be killed, the kernel kills the inside (parent death signal), and the
next run removes the empty folders.
"""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path

from foresail_testbed import errors, layout, options, prepare, runs

UNSHARE = ("setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child")
INSIDE = (*UNSHARE, "--mount-proc", sys.executable, "-m", "foresail_testbed.machine")
END_SECONDS = 20.0


def main() -> int:
    """Keep one cluster from start to end."""
    name, owner = sys.argv[1], int(sys.argv[2])
    spec = json.load(sys.stdin)
    alarm = catch_signals()
    run = layout.Run.named(name)
    try:
        with runs.exclusively():
            runs.remove_stale()
            lock = runs.claim(run)
    except errors.TestbedError as error:
        report_failure(str(error), {})
        return 1
    try:
        prepare.write_files(run, options.Options.decode(spec["options"]), spec["programs"])
        keep(run, owner, alarm)
    finally:
        runs.clear(run)
        lock.close()
    return 0


def report_failure(message: str, logs: dict[str, str]) -> None:
    """Tell the starter why there will be no cluster."""
    print(json.dumps({"event": "failed", "message": message, "logs": logs}), flush=True)  # noqa: T201


def catch_signals() -> int:
    """Turn the signals that ask for an end into something that can be waited for; returns its descriptor."""
    receiver, sender = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(sender)
    return receiver


def keep(run: layout.Run, owner: int, alarm: int) -> None:
    """Start the inside, and end it with whichever comes first: its owner's end, a signal, its own end."""
    with (run.logs / "machine.log").open("ab") as log:
        inside = subprocess.Popen([*INSIDE, str(run.folder)], stdin=subprocess.DEVNULL, stderr=log)
    init = wait_child(inside)
    if init is not None:
        prepare.write_state(run, os.getpid(), init)
    else:
        report_failure("its namespaces could not be made", {"machine": (run.logs / "machine.log").read_text()})
    let_go_of_output(run)
    wait_for_end(inside, owner, alarm)
    if init is not None and inside.poll() is None:
        os.kill(init, signal.SIGKILL)
    try:
        inside.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        inside.kill()
        inside.wait(END_SECONDS)


def wait_for_end(inside: subprocess.Popen[bytes], owner: int, alarm: int) -> None:
    """Sleep until there is a reason to end; SIGUSR1 makes the keeper forget its owner."""
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as descriptors:
        selector.register(alarm, selectors.EVENT_READ, "alarm")
        for name, pid in (("inside", inside.pid), ("owner", owner)):
            if pid == 0:
                continue
            try:
                descriptor = os.pidfd_open(pid)
            except ProcessLookupError:
                return
            descriptors.callback(os.close, descriptor)
            selector.register(descriptor, selectors.EVENT_READ, name)
        while not reason_to_end([key.data for key, _ in selector.select()], alarm):
            forget_owner(selector)


def reason_to_end(events: list[str], alarm: int) -> bool:
    """Tell whether what has happened ends the cluster."""
    if events != ["alarm"]:
        return True
    return set(os.read(alarm, 64)) != {signal.SIGUSR1}


def forget_owner(selector: selectors.BaseSelector) -> None:
    """Watch the owner no longer."""
    for key in list(selector.get_map().values()):
        if key.data == "owner":
            selector.unregister(key.fd)


def wait_child(parent: subprocess.Popen[bytes]) -> int | None:
    """Return the process id, on the host, of the inside's process 1, or None if there won't be one."""
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    deadline = time.monotonic() + END_SECONDS
    while parent.poll() is None and time.monotonic() < deadline:
        found = children.read_text().split()
        if found:
            return int(found[0])
        time.sleep(0.005)
    return None


def let_go_of_output(run: layout.Run) -> None:
    """Leave the starter's pipe to the inside alone and write to a log from now on."""
    log = os.open(run.logs / "keeper.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


if __name__ == "__main__":
    sys.exit(main())
