"""What Triton adds to the protocol and tools ask for: model configuration, statistics, repository index.

Made once, as protobuf's JSON has it: REST answers these documents as they are, gRPC parses them into messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from foresail_runtime import errors

if TYPE_CHECKING:
    from foresail_runtime.metrics import ModelMetrics
    from foresail_runtime.tensors import ModelInfo, TensorSpec

NAMES: Final = ("binary_tensor_data", "model_repository", "model_configuration", "parameters", "statistics")
"""The extensions that the server's metadata may name."""
_NANOSECONDS: Final = 1_000_000_000


def config(info: ModelInfo, max_batch_size: int) -> dict[str, Any]:
    """Return a model's configuration; 0 for `max_batch_size` says that requests never share a run.

    With batching the first dimension is the batch, and `dims` leaves it out.
    """
    batched = max_batch_size > 0
    document: dict[str, Any] = {
        "name": info.name,
        "platform": info.platform,
        "backend": "onnxruntime",
        "max_batch_size": max_batch_size,
        "input": [_tensor(spec, batched=batched) for spec in info.signature.inputs],
        "output": [_tensor(spec, batched=batched) for spec in info.signature.outputs],
        "model_transaction_policy": {"decoupled": False},
    }
    if batched:
        document["dynamic_batching"] = {"preferred_batch_size": [max_batch_size]}
    return document


def statistics(counts: ModelMetrics) -> dict[str, Any]:
    """Return what was counted for one version of a model since the start.

    Compute is counted a run, the rest a request.
    A request that ran at once counts as one that waited no time: perf_analyzer takes the count of the queue for
    the number of requests.
    """
    good = sum(count for (_, status), count in counts.outcomes.items() if status < 400)
    bad = sum(count for (_, status), count in counts.outcomes.items() if status >= 400)
    return {
        "name": counts.name,
        "version": counts.version,
        "last_inference": round(counts.last_request_seconds * 1000),
        "inference_count": round(counts.rows.total - counts.failed_rows),
        "execution_count": counts.rows.count,
        "inference_stats": {
            "success": _duration(good, counts.good_seconds),
            "fail": _duration(bad, counts.bad_seconds),
            "queue": _duration(good, counts.queue.total),
            "compute_input": _duration(counts.compute.count, counts.pre.total),
            "compute_infer": _duration(counts.compute.count, counts.compute.total),
            "compute_output": _duration(counts.compute.count, counts.post.total),
            "cache_hit": _duration(0, 0),
            "cache_miss": _duration(0, 0),
        },
    }


def check_load(parameters: object) -> None:
    """Refuse what is no set of parameters, and every parameter, of a call that loads a model; None is none.

    Raises:
        InvalidRequest: There are some.
    """
    if _parameters(parameters):
        raise errors.InvalidRequest("a model is loaded as its folder has it: parameters of a load are not offered")


def check_unload(parameters: object) -> None:
    """Refuse what is no set of parameters of a call that unloads a model: no model here depends on another.

    Raises:
        InvalidRequest: There is another than `unload_dependents`, or that is neither true nor false.
    """
    for key, value in _parameters(parameters).items():
        if key != "unload_dependents":
            raise errors.InvalidRequest(f"{key!r} is no parameter of an unload: it takes unload_dependents only")
        if type(value) is not bool:
            raise errors.InvalidRequest(f"parameter unload_dependents is {value!r}, not true or false")


def _parameters(given: object) -> dict[str, object]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise errors.InvalidRequest("parameters is not an object")
    return given


def _duration(count: int, seconds: float) -> dict[str, int]:
    return {"count": count, "ns": round(seconds * _NANOSECONDS)}


def _tensor(spec: TensorSpec, *, batched: bool) -> dict[str, Any]:
    name = spec.datatype.name
    return {
        "name": spec.name,
        "data_type": f"TYPE_{'STRING' if name == 'BYTES' else name}",
        "dims": list(spec.shape[1:] if batched else spec.shape),
    }
