"""Many models applied at once: when each has its children, when it is Ready, and what that cost."""

from __future__ import annotations

import asyncio
import collections
import math
import string
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from foresail_operator import live
from foresail_operator.api import kinds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bench.operator.client import Client
    from foresail_operator.api.kinds import Kind

TEMPLATE: Final = string.Template((Path(__file__).parent / "model.yaml").read_text())
NAMESPACE: Final = "bench"
"""The first one; others have a number behind it."""
_PARALLEL: Final = 4
"""Create calls under way at a time, as the other operator was given them."""
_TICK_SECONDS: Final = 0.1


def spread(values: Iterable[float]) -> dict[str, float]:
    """Return median, 95th percentile (by nearest rank) and largest."""
    ordered = sorted(values)
    at = [ordered[max(0, math.ceil(share * len(ordered)) - 1)] for share in (0.5, 0.95, 1.0)] if ordered else []
    return {"n": len(ordered)} | dict(zip(("p50", "p95", "max"), (round(value, 3) for value in at), strict=False))


class Watcher:
    """Sees models and their children, and remembers when."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.born: dict[str, float] = {}
        self.ready: dict[str, float] = {}
        self.children: dict[str, dict[tuple[str, str], float]] = collections.defaultdict(dict)
        """By model: kind and name of each child with when it was first seen."""
        self.live: dict[tuple[str, str], dict[str, Any]] = {}
        """Metadata by kind and name, as last seen."""
        self.changed = asyncio.Event()
        self.events = 0

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.client.watch(kinds.MODEL_DEPLOYMENT, self._model, whole=True))
            for kind in kinds.CHILDREN:
                group.create_task(self.client.watch(kind, self._seer(kind), whole=False))

    def _model(self, event: str, raw: dict[str, Any], now: float) -> None:
        self.events += 1
        conditions = {one["type"]: one["status"] for one in raw.get("status", {}).get("conditions", ())}
        if event != "DELETED" and conditions.get("Ready") == "True":
            self.ready.setdefault(raw["metadata"]["name"], now)

    def _seer(self, kind: Kind) -> Callable[[str, dict[str, Any], float], None]:
        def see(event: str, raw: dict[str, Any], now: float) -> None:
            metadata = raw["metadata"]
            where = kind.name, metadata["name"]
            self.events += 1
            if event == "DELETED":
                self.live.pop(where, None)
                return
            if (key := live.key_of(metadata, kind)) is not None:
                self.live[where] = metadata
                self.children[key[1]].setdefault(where, now)
            self.changed.set()

        return see

    async def until(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Wait, by looking often, until something holds."""
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(_TICK_SECONDS)
        return True

    async def seen(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Wait until something that the watches show holds."""
        try:
            async with asyncio.timeout(seconds):
                while not holds():
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            return False
        return True


def namespaces(count: int, each: int) -> list[str]:
    """Return the namespaces of so many models, of which each takes so many; one takes all of them where `each` is 0."""
    more = math.ceil(count / each) - 1 if each else 0
    return [NAMESPACE, *(f"{NAMESPACE}-{number}" for number in range(1, more + 1))]


async def create(watcher: Watcher, count: int, each: int, children: int, seconds: float) -> dict[str, Any]:
    """Create so many models, so many in each namespace, and wait until all have their children and are Ready."""
    places = namespaces(count, each)
    free = asyncio.Semaphore(_PARALLEL)
    answered: dict[str, float] = {}

    async def one(index: int) -> None:
        name = f"m{index:04d}"
        namespace = places[index // each if each else 0]
        manifest = yaml.safe_load(TEMPLATE.substitute(NAME=name, NAMESPACE=namespace))
        async with free:
            watcher.born[name] = time.monotonic()
            await watcher.client.call("POST", kinds.MODEL_DEPLOYMENT.path(namespace), manifest)
            answered[name] = time.monotonic()

    begun = time.monotonic()
    await asyncio.gather(*[one(index) for index in range(count)])
    made = time.monotonic() - begun

    def complete() -> dict[str, float]:
        return {name: max(seen.values()) for name, seen in watcher.children.items() if len(seen) >= children}

    done = await watcher.until(lambda: len(watcher.ready) >= count and len(complete()) >= count, seconds)
    born = watcher.born
    return {
        "count": count,
        "namespaces": len(places),
        "all_ready": done,
        "all_created_s": round(made, 2),
        "create_call": spread(answered[name] - born[name] for name in answered),
        "children": spread(then - born[name] for name, then in complete().items()),
        "ready": spread(then - born[name] for name, then in watcher.ready.items()),
    }
