"""A pod's Load from its bytes: what `contract.Load.decode` does, ten times as fast, because it happens so often.

Whoever answers at a pod's address is heard here, so what comes out is fit to be reckoned with: every number is finite
and of a size that sums, products and roundings of it stay finite too.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from foresail_runtime.contract import LATENCY_COUNTS, NUMBERS_END, ContractError, Load

_END: Final = NUMBERS_END


def decode(body: bytes) -> Load:
    """Read one Load.

    Raises:
        ContractError: The body is no Load.
    """
    try:
        data = orjson.loads(body)
        in_flight, queued, requests = data["in_flight"], data["queued"], data["requests"]
        load_seconds, size, seconds = data["load_seconds"], data.get("batch_size"), data.get("batch_seconds")
        sane = (  # a comparison with what is no number is a TypeError
            0 <= in_flight < _END
            and 0 <= queued < _END
            and 0 <= requests < _END
            and 0 <= load_seconds < _END
            and (size is None or 0 <= size < _END)
            and (seconds is None or 0 <= seconds < _END)
        )
        latency = _counts(data["latency"]) if "latency" in data else ()
        age = _seconds(data["age_seconds"]) if "age_seconds" in data else None
        phases = {str(name): _seconds(took) for name, took in data["phases"].items()} if "phases" in data else {}
        cores = _seconds(data["cores"]) if "cores" in data else None
        refused = _counter(data["refused"]) if "refused" in data else 0
        state, counters = str(data["state"]), (int(in_flight), int(queued), int(requests))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ContractError(f"this is no load: {body[:200]!r}") from error
    if not sane:
        raise ContractError(f"a load has no negative numbers and no immense ones: {body[:200]!r}")
    return Load(state, *counters, float(load_seconds), size, seconds, latency, age, phases, refused, cores)


def _counts(counts: Any) -> tuple[int, ...]:
    """Return latency counts; none if they are by other buckets than ours, as of another release."""
    if len(counts) != LATENCY_COUNTS:
        return ()
    if not (min(counts) >= 0 and max(counts) < _END):
        raise ValueError
    return tuple(counts)


def _counter(value: Any) -> int:
    if not 0 <= value < _END:
        raise ValueError
    return int(value)


def _seconds(value: Any) -> float:
    if not 0 <= value < _END:
        raise ValueError
    return float(value)
