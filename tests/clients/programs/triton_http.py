"""tritonclient.http against both servers: triton_http.py MLP ECHO (host:port each)."""

import json
import sys

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException, np_to_triton_dtype
from values import ARRAYS, BINARY, same


def inputs(arrays, binary):
    made = []
    for name, array in arrays.items():
        tensor = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
        tensor.set_data_from_numpy(array, binary_data=binary)
        made.append(tensor)
    return made


def refusal(call):
    try:
        call()
    except InferenceServerException as error:
        return [str(error.status()), error.message()]
    raise AssertionError("it was not refused")


def check_status(client):
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("mlp")
    assert client.is_model_ready("mlp", "1")
    assert not client.is_model_ready("nobody")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    metadata = client.get_model_metadata("mlp")
    assert metadata["inputs"] == [{"name": "input", "datatype": "FP32", "shape": [-1, 32]}]
    config = client.get_model_config("mlp")
    assert config["input"] == [{"name": "input", "data_type": "TYPE_FP32", "dims": [32]}]
    assert client.get_model_repository_index() == [{"name": "mlp", "version": "1", "state": "READY"}]


def check_forms(client):
    """Every mix of binary and JSON, compressed or not, gives the same numbers."""
    row = np.linspace(-1, 1, 96, dtype=np.float32).reshape(3, 32)
    expected = client.infer("mlp", inputs({"input": row}, True)).as_numpy("output")
    assert expected.shape == (3, 8)
    for binary_in in (True, False):
        for binary_out in (True, False):
            for pressing in (None, "gzip", "deflate"):
                wanted = [triton.InferRequestedOutput("output", binary_data=binary_out)]
                result = client.infer(
                    "mlp", inputs({"input": row}, binary_in), outputs=wanted, model_version="1", request_id="an id",
                    priority=1, timeout=5_000_000, request_compression_algorithm=pressing,
                    response_compression_algorithm=pressing,
                )  # fmt: skip
                assert np.allclose(result.as_numpy("output"), expected, atol=1e-6)
                assert result.get_response()["id"] == "an id"
    pending = [client.async_infer("mlp", inputs({"input": row}, True)) for _ in range(20)]
    assert all(np.allclose(each.get_result().as_numpy("output"), expected) for each in pending)


def check_own_parsing(client):
    """A body made without the client's connection, and an answer read without it."""
    row = np.zeros((1, 32), np.float32)
    body, length = triton.InferenceServerClient.generate_request_body(inputs({"input": row}, True))
    response = client._post("v2/models/mlp/infer", body, {"Inference-Header-Content-Length": str(length)}, None)
    header = response.get("Inference-Header-Content-Length")
    result = triton.InferenceServerClient.parse_response_body(response.read(), header_length=int(header))
    assert result.as_numpy("output").shape == (1, 8)


def check_types(client):
    result = client.infer("echo", inputs(ARRAYS, True))
    for name, array in ARRAYS.items():
        assert same(array, result.as_numpy(f"{name}_out")), name
    spoken = {name: array for name, array in ARRAYS.items() if name != "fp16"}
    json_only = inputs(spoken, False) + inputs({"fp16": ARRAYS["fp16"]}, True)
    wanted = [triton.InferRequestedOutput(f"{name}_out", binary_data=False) for name in spoken]
    result = client.infer("echo", json_only, outputs=wanted)
    for name, array in spoken.items():
        assert same(array, result.as_numpy(f"{name}_out")), name
    _, words = refusal(lambda: client.infer("echo", inputs({**ARRAYS, "bytes": BINARY}, True)))
    assert "not UTF-8 text" in words, words


def main():
    with triton.InferenceServerClient(sys.argv[1], concurrency=4) as client:
        check_status(client)
        check_forms(client)
        check_own_parsing(client)
        row = inputs({"input": np.zeros((1, 32), np.float32)}, True)
        wide = inputs({"input": np.zeros((1, 33), np.float32)}, True)
        refusals = {
            "unknown model": refusal(lambda: client.infer("nobody", row)),
            "unknown version": refusal(lambda: client.infer("mlp", row, model_version="2")),
            "unknown output": refusal(lambda: client.infer("mlp", row, outputs=[triton.InferRequestedOutput("z")])),
            "wrong shape": refusal(lambda: client.infer("mlp", wide)),
        }
        counts = client.get_inference_statistics("mlp")["model_stats"][0]
        assert counts["inference_stats"]["success"]["count"] > 30
    with triton.InferenceServerClient(sys.argv[2]) as client:
        check_types(client)
    print(json.dumps(refusals))


main()
