"""The processes inside a cluster: started, stopped and signalled by name."""

import dataclasses
import os
import signal
import subprocess
from pathlib import Path

from foresail_testbed import errors

STOP_SECONDS = 10.0


@dataclasses.dataclass(frozen=True)
class Component:
    """How a process is started, so that it can be started again."""

    name: str
    command: tuple[str, ...]


class Components:
    """The running processes of a cluster; their output goes to a log each."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._known: dict[str, Component] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, component: Component) -> None:
        """Start a component under its name; a second start of one that runs is an error."""
        if self.pid(component.name) is not None:
            raise errors.TestbedError(f"{component.name} runs already; stop it first")
        self._known[component.name] = component
        with (self._logs / f"{component.name}.log").open("ab") as log:
            self._running[component.name] = subprocess.Popen(
                component.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def restart(self, name: str) -> None:
        """Start a stopped component again as it was."""
        self.start(self._find(name))

    def stop(self, name: str, kill: bool = False) -> None:
        """End a component, by SIGTERM or SIGKILL, and wait for its end."""
        self._find(name)
        process = self._running.pop(name, None)
        if process is None:
            return
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)

    def signal(self, name: str, number: int) -> None:
        """Send a signal, say SIGSTOP or SIGCONT, to a component that runs."""
        pid = self.pid(name)
        if pid is None:
            raise errors.TestbedError(f"{name} does not run")
        os.kill(pid, number)

    def pid(self, name: str) -> int | None:
        """Return the process id, or None if it does not run (any more)."""
        process = self._running.get(name)
        return process.pid if process and process.poll() is None else None

    def states(self) -> dict[str, int | None]:
        """Return every component's process id inside the cluster, None for one that has ended."""
        return {name: self.pid(name) for name in self._known}

    def require_alive(self) -> None:
        """Raise with the end of the log of the first component that has ended by itself."""
        for name in self._running:
            if self.pid(name) is None:
                raise errors.TestbedError(f"{name} ended at once; its log ends:\n{self.tail(name)}")

    def tail(self, name: str, lines: int = 15) -> str:
        """Return the last lines of a component's log."""
        log = self._logs / f"{name}.log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""

    def _find(self, name: str) -> Component:
        if name not in self._known:
            raise errors.TestbedError(f"there is no component {name!r}; there are: {', '.join(self._known)}")
        return self._known[name]
