"""The documents that tools of Triton read, REST's and gRPC's from the same source."""

from __future__ import annotations

from google.protobuf import json_format

from foresail_runtime import metrics, tensors
from foresail_runtime.codec import extensions
from foresail_runtime.grpc import oip_pb2

INFO = tensors.ModelInfo(
    "m",
    ("1",),
    tensors.Signature(
        (tensors.TensorSpec("x", tensors.FP32, (-1, 3)), tensors.TensorSpec("s", tensors.BYTES, (-1, 1))),
        (tensors.TensorSpec("y", tensors.BF16, (-1, 2, -1)),),
    ),
)


def test_with_batching_the_configuration_leaves_the_batch_dimension_out() -> None:
    config = extensions.config(INFO, 16)
    assert config["max_batch_size"] == 16
    assert config["dynamic_batching"] == {"preferred_batch_size": [16]}
    assert config["input"] == [
        {"name": "x", "data_type": "TYPE_FP32", "dims": [3]},
        {"name": "s", "data_type": "TYPE_STRING", "dims": [1]},
    ]
    assert config["output"] == [{"name": "y", "data_type": "TYPE_BF16", "dims": [2, -1]}]


def test_without_batching_the_configuration_has_every_dimension() -> None:
    config = extensions.config(INFO, 0)
    assert config["max_batch_size"] == 0
    assert "dynamic_batching" not in config
    assert config["input"][0]["dims"] == [-1, 3]


def test_every_datatype_has_a_name_in_the_configuration() -> None:
    for datatype in tensors.DATATYPES.values():
        specs = (tensors.TensorSpec("x", datatype, (-1,)),)
        info = tensors.ModelInfo("m", ("1",), tensors.Signature(specs, specs))
        config = json_format.ParseDict(extensions.config(info, 0), oip_pb2.ModelConfig())
        assert config.input[0].data_type != oip_pb2.TYPE_INVALID


def test_statistics_tell_requests_rows_and_runs_apart() -> None:
    counts = metrics.ModelMetrics("m", "1")
    counts.ran(rows=5, requests=2, seconds=0.25)
    counts.waited(0.001)
    for status, seconds in ((200, 0.25), (200, 0.75), (400, 2.0)):
        counts.answered("infer", status, seconds)
    document = extensions.statistics(counts)
    assert (document["name"], document["version"]) == ("m", "1")
    assert (document["inference_count"], document["execution_count"]) == (5, 1)
    stats = document["inference_stats"]
    assert stats["success"] == {"count": 2, "ns": 1_000_000_000}
    assert stats["fail"] == {"count": 1, "ns": 2_000_000_000}
    assert stats["queue"] == {"count": 2, "ns": 1_000_000}  # the request that ran at once waited no time
    assert stats["compute_infer"] == {"count": 1, "ns": 250_000_000}
    counts.ran(rows=3, requests=1, seconds=0.25)
    counts.failed(rows=3)
    assert extensions.statistics(counts)["inference_count"] == 5  # what got no answer is no inference


def test_statistics_of_a_model_that_nobody_asked_are_zeros() -> None:
    document = extensions.statistics(metrics.ModelMetrics("m", "1"))
    parsed = json_format.ParseDict(document, oip_pb2.ModelStatistics())
    assert parsed.inference_stats.success.count == 0
