"""A process inside a cluster, started and signalled from outside."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

STOP_SECONDS = 15.0


class Inside:
    """A process in the cluster's namespaces, or beside a foreign cluster.

    In our own `nsenter` stands between: it has to fork to enter a pid namespace, and passes the exit status on but no
    signals. When its child is stopped it stops too, and then has to be woken as well, or it never sees the child's end.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path | None) -> None:
        self._behind = command[0] == "nsenter"
        self._log = log.open("ab") if log else None
        self._outer = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._log or subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            env=dict(environment),
        )

    @property
    def returncode(self) -> int | None:
        """The exit status, None while it runs."""
        return self._outer.poll()

    def pids(self) -> list[int]:
        """Return the process ids, on the host, of the process itself; none once it has ended."""
        outer = self._outer.pid
        if not self._behind:
            return [outer] if self.returncode is None else []
        try:
            return [int(pid) for pid in Path(f"/proc/{outer}/task/{outer}/children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            return []

    def signal(self, number: int) -> None:
        """Send a signal to the process."""
        for pid in self.pids():
            os.kill(pid, number)
        if number in (signal.SIGCONT, signal.SIGKILL):
            self._outer.send_signal(signal.SIGCONT)

    def wait(self, seconds: float) -> int:
        """Wait for the end and return the exit status; raises subprocess.TimeoutExpired."""
        return self._outer.wait(seconds)

    def stop(self, seconds: float = STOP_SECONDS) -> int:
        """End it by SIGTERM, after `seconds` by SIGKILL, and return the exit status."""
        self.signal(signal.SIGTERM)
        try:
            return self.wait(seconds)
        except subprocess.TimeoutExpired:
            return self.kill()
        finally:
            self.close()

    def kill(self) -> int:
        """End it by SIGKILL."""
        self.signal(signal.SIGKILL)
        try:
            return self._outer.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._outer.kill()
            return self._outer.wait()
        finally:
            self.close()

    def close(self) -> None:
        """Close the log."""
        if self._log:
            self._log.close()

    def __enter__(self) -> "Inside":
        """Return the process."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        if self.returncode is None:
            self.stop()
        self.close()
