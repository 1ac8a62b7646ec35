"""Put a model to sleep and wake it by one request, again and again: how long each first answer took, and on what."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from bench.scaling.stage import BODY, wait

if TYPE_CHECKING:
    from bench.scaling.stage import Stage

NAME: Final = "sleeper"
_WHOLE: Final = {"status", "seconds", "still"}
AFTER_SECONDS: Final = 1.0
"""So long after the first answer the activator has to be out of the Service."""


def measure(stage: Stage, wakes: int, seconds: float) -> dict[str, Any]:
    """Wake a model so often, or for so long."""
    stage.apply(NAME, scaling={"minReplicas": 0, "maxReplicas": 2, "idleSeconds": 600})
    end, rounds = time.monotonic() + seconds, []
    try:
        url, told = stage.url(NAME), stage.status(NAME).get("coldStart")
        for number in range(wakes):
            if time.monotonic() > end:
                break
            stage.sleep(NAME)
            status, took = asyncio.run(ask(url))
            still = _still_held(stage, url)
            told = _told(stage, told)
            rounds.append({"status": status, "seconds": took, "still": still, **(told or {}).get("phases", {})})
            print(f"  {number + 1}: {status} after {took:.2f} s; {(told or {}).get('phases')}", flush=True)
    finally:
        stage.delete(NAME)
    return report(rounds) | {"wakes_wished_for": wakes}


def _told(stage: Stage, before: Any) -> Any:
    """Return the phases of this start; those of the one before where they are the same to the hundredth."""
    try:
        return wait(lambda: found if (found := stage.status(NAME).get("coldStart")) != before else None, 5, "")
    except TimeoutError:
        return before


def _still_held(stage: Stage, url: str) -> bool:
    """Tell whether a new connection still goes through the activator."""
    time.sleep(AFTER_SECONDS)
    before = stage.forwarded()
    asyncio.run(ask(url))
    return stage.forwarded() > before


async def ask(url: str) -> tuple[str, float]:
    """Send one request on a connection of its own; return its status, or what went wrong, and the seconds."""
    began = time.monotonic()
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)) as session,
            session.post(url, data=BODY, headers={"Content-Type": "application/json"}) as answer,
        ):
            await answer.read()
            return str(answer.status), time.monotonic() - began
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        return f"{type(error).__name__}: {error}", time.monotonic() - began


def report(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the quantiles, of the whole as a client feels it and of the parts."""
    took = [one["seconds"] for one in rounds]
    phases = [name for name in dict.fromkeys(name for one in rounds for name in one) if name not in _WHOLE]
    return {
        "wakes": len(rounds),
        "lost": sum(one["status"] != "200" for one in rounds),
        "held_after_a_second": sum(one["still"] for one in rounds),
        "p50_seconds": round(statistics.median(took), 2) if took else None,
        "p95_seconds": round(statistics.quantiles(took, n=20)[-1], 2) if len(took) > 1 else None,
        "phases_p50_seconds": {
            name: round(statistics.median(one[name] for one in rounds if name in one), 3) for name in phases
        },
        "rounds": rounds,
    }
