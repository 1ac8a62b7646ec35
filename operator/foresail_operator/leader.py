"""Who may write: one replica at a time, by a Lease.

    standby --the Lease is free or its holder silent for LEASE_SECONDS--> leading
    leading --no renewal for RENEW_SECONDS, or the Lease is gone or in another name--> standby
    leading --clean stop--> the Lease is given back, so that a standby leads within RETRY_SECONDS

All reckoning is by the monotonic clock of this process: a standby counts from when it saw the Lease change last,
never from the times written in it, so clocks that differ or jump do no harm. The fence is checked just before each
write, and a write is given up at the deadline that it had then: one that still waits for its connection when the
process was frozen, or the network slow, is not sent any more.

The Lease also tells first that etcd was restored from a backup: its version, which only grows, is lower than it was.
Then the process has to end, as what the watches have shown counts as newer than all that comes.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from typing import TYPE_CHECKING, Final

from foresail_operator import errors
from foresail_operator.api import kinds

if TYPE_CHECKING:
    from collections.abc import Callable

    from foresail_operator.api.kinds import Manifest
    from foresail_operator.kube import Kube
    from foresail_operator.metrics import Metrics

_LOG: Final = logging.getLogger(__name__)
LEASE_SECONDS: Final = 15.0
"""How long a silent leader is waited for."""
RENEW_SECONDS: Final = 10.0
"""How long after its last renewal a leader may write; the rest of LEASE_SECONDS is for what is on its way."""
RETRY_SECONDS: Final = 2.0
REQUEST_SECONDS: Final = 4.0


@dataclasses.dataclass(frozen=True, slots=True)
class Seen:
    """The Lease as it was seen last: its version, who holds it, and since when it has not changed."""

    version: str
    holder: str
    since: float


def free(seen: Seen, me: str, now: float) -> bool:
    """Tell whether the Lease can be taken."""
    return seen.holder in {"", me} or now - seen.since > LEASE_SECONDS


class Leader:
    """Takes, keeps and gives back the Lease."""

    def __init__(
        self,
        kube: Kube,
        namespace: str,
        me: str,
        *,
        lease: str,
        metrics: Metrics,
        clock: Callable[[], float],
        now: Callable[[], str],
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._me = me
        self._name = lease
        self._metrics = metrics
        self._clock = clock
        self._now = now
        self._lease: Manifest | None = None
        self._seen = Seen("", "", float("-inf"))
        self._renewed_at = float("-inf")
        self._newest = 0
        """The Lease's last version."""

    @property
    def leading(self) -> bool:
        """Whether this replica may write right now."""
        return self._clock() - self._renewed_at < RENEW_SECONDS

    def fence(self) -> float:
        """Return for how many seconds from now a write may go on; raise NotLeading when it must not be sent."""
        left = self._renewed_at + RENEW_SECONDS - self._clock()
        if left <= 0:
            raise errors.NotLeading("the lease's deadline has passed")
        return left

    async def run(self, start: Callable[[], None], stop: Callable[[], None]) -> None:
        """Compete for the Lease until cancelled; `start` and `stop` are called as leading begins and ends.

        Raises:
            HistoryLost: etcd was restored from a backup, and nothing that is known holds any more.
        """
        was_leading = False
        while True:
            await self._turn()
            if self.leading is not was_leading:
                was_leading = not was_leading
                _LOG.info("leading" if was_leading else "not leading", extra={"identity": self._me})
                self._metrics.leading.set(was_leading)
                start() if was_leading else stop()
            await asyncio.sleep(RETRY_SECONDS)

    async def give_back(self) -> None:
        """Let a standby lead at once; call it when no write is under way any more."""
        if not self.leading or self._lease is None:
            return
        self._renewed_at = float("-inf")
        self._metrics.leading.set(0)
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                await self._kube.replace(kinds.LEASE, self._lease | {"spec": self._spec(holder="", seconds=1)})
        except (errors.ApiError, TimeoutError) as error:
            _LOG.warning("the lease was not given back", extra={"error": str(error)})

    async def _turn(self) -> None:
        """Renew, take or watch the Lease once; what fails is tried again at the next turn."""
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                if not (self.leading and await self._kept()):
                    await self._compete()
        except errors.Conflict:
            return  # another one took it first: the next turn reads who
        except (errors.ApiError, TimeoutError) as error:
            _LOG.warning("the lease could not be renewed or read", extra={"error": str(error)})

    async def _kept(self) -> bool:
        """Renew the Lease that we hold; return False, and let nothing be written, when it is not as we left it.

        It may be another's or gone, whatever our deadline says, or an answer to a renewal of ours was lost: then our
        name is found in it, and leading goes on within the same turn.
        """
        try:
            await self._renew()
        except (errors.Conflict, errors.NotFound):
            self._lease, self._renewed_at = None, float("-inf")
            return False
        return True

    async def _compete(self) -> None:
        try:
            lease = await self._kube.get(kinds.LEASE, self._namespace, self._name)
        except errors.NotFound:
            begun = self._clock()
            metadata = {"name": self._name, "namespace": self._namespace}
            lease = {"apiVersion": kinds.LEASE.api_version, "kind": kinds.LEASE.name, "metadata": metadata}
            self._lease = self._saw(await self._kube.create(kinds.LEASE, lease | {"spec": self._spec(holder=self._me)}))
            self._renewed_at = begun
            return
        self._saw(lease)
        version, holder = lease["metadata"]["resourceVersion"], lease.get("spec", {}).get("holderIdentity") or ""
        if version != self._seen.version:
            self._seen = Seen(version, holder, self._clock())
        if free(self._seen, self._me, self._clock()):
            self._lease = lease
            await self._renew()

    async def _renew(self) -> None:
        begun = self._clock()
        if self._lease is not None:
            held = self._lease | {"spec": self._spec(holder=self._me)}
            self._lease = self._saw(await self._kube.replace(kinds.LEASE, held))
            self._renewed_at = begun

    def _saw(self, lease: Manifest) -> Manifest:
        """Return the Lease, unless it is older than what was seen before."""
        version = int(lease["metadata"]["resourceVersion"])
        if version < self._newest:
            self._lease, self._renewed_at = None, float("-inf")
            raise errors.HistoryLost(
                f"the Lease's version went back from {self._newest} to {version}: etcd was restored"
            )
        self._newest = version
        return lease

    def _spec(self, holder: str, seconds: int = int(LEASE_SECONDS)) -> Manifest:
        before = (self._lease or {}).get("spec", {})
        now = self._now().replace("Z", ".000000Z")
        taken = holder != "" and before.get("holderIdentity") != holder
        return {
            "holderIdentity": holder,
            "leaseDurationSeconds": seconds,
            "acquireTime": now if taken else before.get("acquireTime", now),
            "renewTime": now,
            "leaseTransitions": before.get("leaseTransitions", 0) + taken,
        }
