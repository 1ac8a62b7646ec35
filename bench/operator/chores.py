"""What comes after the burst: rest, hand-made damage, a restart, and a cluster full of what is others'."""

from __future__ import annotations

import asyncio
import collections
import itertools
import time
from typing import TYPE_CHECKING, Any, Final

from bench.operator.audit import Requests
from bench.operator.burst import spread
from foresail_operator.api import kinds
from foresail_operator.desired import meta

if TYPE_CHECKING:
    from bench.operator.audit import Log
    from bench.operator.burst import Watcher
    from bench.operator.stage import Operator
    from foresail_operator.api.kinds import Kind

_QUIET_SECONDS: Final = 8.0
_REPAIR_SECONDS: Final = 10.0
_MERGE: Final = "application/merge-patch+json"
_PARALLEL: Final = 8


async def settle(log: Log, seconds: float) -> Requests:
    """Return what is asked for until nothing has been written for a while."""
    total = Requests(collections.Counter(), collections.Counter())
    begun = last = time.monotonic()
    while time.monotonic() - begun < seconds and time.monotonic() - last < _QUIET_SECONDS:
        await asyncio.sleep(1)
        taken = log.take()
        total += taken
        if taken.writes:
            last = time.monotonic()
    return total


async def rest(log: Log, operator: Operator, seconds: float) -> dict[str, Any]:
    """Return what an idle operator does."""
    log.take()
    before = operator.usage()
    await asyncio.sleep(seconds)
    after = operator.usage()
    cpu = round(after["cpu_s"] - before["cpu_s"], 2)
    return {"seconds": seconds, "cpu_s": cpu, "memory_mb": after["memory_mb"]} | log.take().report()


async def repairs(watcher: Watcher, each: int) -> dict[str, dict[str, float]]:
    """Delete, then edit, so many children of each kind by hand; return how long until each was back.

    One follows on the other at once, so the controllers are still at work on the last one's pods; Deployments are
    deleted once more at the pace of a person.
    """
    found = {}
    for kind in kinds.CHILDREN:
        names = sorted(name for known, name in watcher.live if known == kind.name)[:each]
        if not names:  # a kind that these models do not have
            continue
        found[f"{kind.name} deleted"] = spread([await _deleted(watcher, kind, name) for name in names])
        if kind is kinds.DEPLOYMENT:
            found[f"{kind.name} deleted, one a second"] = spread([await _unhurried(watcher, name) for name in names])
        found[f"{kind.name} edited"] = spread([await _edited(watcher, kind, name) for name in names])
    return found


async def _deleted(watcher: Watcher, kind: Kind, name: str) -> float:
    where = kind.name, name
    uid = watcher.live[where]["uid"]
    begun = time.monotonic()
    await watcher.client.call("DELETE", kind.path(watcher.live[where]["namespace"], name))
    back = await watcher.seen(lambda: watcher.live.get(where, {"uid": uid})["uid"] != uid, _REPAIR_SECONDS)
    return time.monotonic() - begun if back else float("inf")


async def _unhurried(watcher: Watcher, name: str) -> float:
    await asyncio.sleep(1)
    return await _deleted(watcher, kinds.DEPLOYMENT, name)


async def _edited(watcher: Watcher, kind: Kind, name: str) -> float:
    """Change a label that is ours, which every kind has, and wait until it is right again."""
    where = kind.name, name
    version = int(watcher.live[where]["resourceVersion"])
    right = watcher.live[where]["labels"][meta.MODEL_LABEL]
    begun = time.monotonic()
    patch = {"metadata": {"labels": {meta.MODEL_LABEL: "edited-by-hand"}}}
    path = kind.path(watcher.live[where]["namespace"], name)
    edited = await watcher.client.call("PATCH", path, patch, content=_MERGE)
    version = int(edited["metadata"]["resourceVersion"])

    def back() -> bool:
        now = watcher.live.get(where)
        return now is not None and int(now["resourceVersion"]) > version and now["labels"][meta.MODEL_LABEL] == right

    return time.monotonic() - begun if await watcher.seen(back, _REPAIR_SECONDS) else float("inf")


async def restart(log: Log, operator: Operator, watcher: Watcher, count: int) -> dict[str, Any]:
    """Stop the operator, start it, and return how long until it leads and has looked at everything."""
    stopped = await asyncio.to_thread(operator.stop)
    log.take()
    watcher.events = 0
    begun = time.monotonic()
    operator.again()
    await asyncio.to_thread(operator.wait_until_leading)
    leads = time.monotonic() - begun
    while (operator.sample("foresail_operator_looks_total") or 0) < count or operator.sample(
        "foresail_operator_queue_depth"
    ):
        if time.monotonic() - begun > 120:
            raise RuntimeError(f"the restarted operator did not look at everything; its log: {operator.log}")
        await asyncio.sleep(0.05)
    caught_up = time.monotonic() - begun
    requests = await settle(log, 60)
    times = {"stopped_s": round(stopped, 2), "leads_s": round(leads, 2), "caught_up_s": round(caught_up, 2)}
    return times | {"watch_events": watcher.events} | operator.usage() | requests.report()


async def foreign(watcher: Watcher, operator: Operator, count: int) -> dict[str, Any]:
    """Create so many pods and Deployments that are no business of the operator; return its memory around that."""
    before = operator.usage()
    container = {"name": "c", "image": "example.com/other:1"}
    await watcher.client.call("POST", "/api/v1/namespaces", {"metadata": {"name": "foreign"}})
    account = {"automountServiceAccountToken": False}
    numbers = iter(range(count))

    async def some() -> None:
        for number in numbers:
            name = {"name": f"other-{number}", "labels": {"app": "other"}}
            pod = account | {"schedulerName": "nobody", "containers": [container]}
            await watcher.client.call("POST", kinds.POD.path("foreign"), {"metadata": name, "spec": pod})
            template = {"metadata": {"labels": {"app": "other"}}, "spec": {"containers": [container]}}
            spec = {"replicas": 0, "selector": {"matchLabels": {"app": "other"}}, "template": template}
            await watcher.client.call("POST", kinds.DEPLOYMENT.path("foreign"), {"metadata": name, "spec": spec})

    await asyncio.gather(*itertools.starmap(some, [()] * _PARALLEL))
    await asyncio.sleep(_QUIET_SECONDS)
    after = operator.usage()
    cpu = round(after["cpu_s"] - before["cpu_s"], 2)
    return {"pods": count, "deployments": count, "before_mb": before["memory_mb"], "after_mb": after["memory_mb"]} | {
        "cpu_s": cpu
    }
