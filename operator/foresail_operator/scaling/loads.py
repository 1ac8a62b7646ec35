"""A pod's Load from its bytes: what `contract.Load.decode` does, ten times as fast, because it happens so often."""

from __future__ import annotations

import orjson

from foresail_runtime.contract import ContractError, Load


def decode(body: bytes) -> Load:
    """Read one Load.

    Raises:
        ContractError: The body is no Load.
    """
    try:
        data = orjson.loads(body)
        in_flight, queued, requests = int(data["in_flight"]), int(data["queued"]), int(data["requests"])
        load_seconds = float(data["load_seconds"])
        latency = tuple(map(int, data["latency"])) if "latency" in data else ()
        age = float(data["age_seconds"]) if "age_seconds" in data else None
        phases = {str(name): float(took) for name, took in data["phases"].items()} if "phases" in data else {}
        state, size, seconds = str(data["state"]), data.get("batch_size"), data.get("batch_seconds")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ContractError(f"this is no load: {body[:200]!r}") from error
    counted = (in_flight, queued, requests, load_seconds, *phases.values())
    if not all(number >= 0 for number in counted):
        raise ContractError(f"a load has no negative numbers: {body[:200]!r}")
    return Load(state, in_flight, queued, requests, load_seconds, size, seconds, latency, age, phases)
