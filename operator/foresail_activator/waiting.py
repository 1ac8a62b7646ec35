"""The waiting room of one door: who waits, which replicas are ready, and who goes to which of them."""

from __future__ import annotations

import asyncio
import collections
import logging
from typing import TYPE_CHECKING, Final

from foresail_activator.hold import Client, House, State, Upstream

if TYPE_CHECKING:
    from collections.abc import Callable

    from foresail_activator.directory import Address, Door

_LOG: Final = logging.getLogger(__name__)


class WaitingRoom:
    """Sends each to the replica with the fewest that have no answer yet; asks to be woken while there is none."""

    def __init__(self, house: House, door: Door, wake: Callable[[Door], None]) -> None:
        self.door = door
        self._house = house
        self._wake = wake
        self._waiting: collections.OrderedDict[Client, None] = collections.OrderedDict()
        self._pods: tuple[Address, ...] = ()
        self._unanswered: collections.Counter[Address] = collections.Counter()
        self._avoided: set[Address] = set()

    def client(self) -> Client:
        """Return the protocol of a new connection."""
        return Client(self._house, self)

    def update(self, pods: tuple[Address, ...]) -> None:
        """Take in which replicas are ready, and send on who waits."""
        self._pods = pods
        self.turn()

    def arrive(self, client: Client) -> None:
        """Take in a client that has sent its first bytes, unless too many wait."""
        limits = self._house.limits
        if self._house.held.requests > limits.held or len(self._waiting) >= limits.held_of_a_model:
            client.refuse("too many requests wait for this model to start; try again in a moment")
            return
        self._waiting[client] = None
        self.turn()

    def leave(self, client: Client) -> None:
        """Let a waiting client go."""
        self._waiting.pop(client, None)

    def answered(self, pod: Address) -> None:
        """Note that a replica has begun to answer a client, or will not any more."""
        self._unanswered[pod] -= 1
        if self._unanswered[pod] <= 0:
            del self._unanswered[pod]
        self.turn()

    def turn(self) -> None:
        """Send on as many as the replicas take."""
        while self._waiting and (pod := self._choose()) is not None:
            client, _ = self._waiting.popitem(last=False)
            self._send(client, pod)
        self.remind()

    def remind(self) -> None:
        """Ask for a replica if someone waits and there is none."""
        if self._waiting and not self._pods:
            self._wake(self.door)

    def refuse_all(self, message: str) -> None:
        """Refuse everyone who waits."""
        while self._waiting:
            client, _ = self._waiting.popitem(last=False)
            client.refuse(message)

    def _choose(self) -> Address | None:
        free = [
            pod
            for pod in self._pods
            if pod not in self._avoided and self._unanswered[pod] < self._house.limits.unanswered_a_pod
        ]
        return min(free, key=lambda pod: self._unanswered[pod], default=None)

    def _send(self, client: Client, pod: Address) -> None:
        """Take a place at a replica and join the client to it; one that goes meanwhile leaves it to the next."""
        upstream = Upstream(self, pod, client, asyncio.timeout(self._house.limits.connect_seconds))

        def joined(joining: asyncio.Task[None]) -> None:  # not in the task: cancelled at once, it has not one step
            if joining.cancelled():
                upstream.connection_lost(None)

        self._unanswered[pod] += 1
        client.joining = asyncio.create_task(self._join(client, pod, upstream))
        client.joining.add_done_callback(joined)

    async def _join(self, client: Client, pod: Address, upstream: Upstream) -> None:
        try:
            async with upstream.limit:
                await asyncio.get_running_loop().create_connection(lambda: upstream, *pod)
        except (OSError, TimeoutError) as error:
            _LOG.info("a replica did not take a connection", extra={"pod": pod[0], "error": str(error)})
            self._avoid(pod)
            self._wait_again(client)
            upstream.connection_lost(None)

    def _wait_again(self, client: Client) -> None:
        """Put a client back to the front; nothing of its request has been sent anywhere."""
        client.joining = None
        if client.state is State.HELD:
            self._waiting[client] = None
            self._waiting.move_to_end(client, last=False)

    def _avoid(self, pod: Address) -> None:
        self._avoided.add(pod)
        asyncio.get_running_loop().call_later(self._house.limits.retry_seconds, self._try_again, pod)

    def _try_again(self, pod: Address) -> None:
        self._avoided.discard(pod)
        self.turn()
