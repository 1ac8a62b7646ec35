"""tritonclient.grpc against both servers: triton_grpc.py MLP ECHO (host:port each)."""

import json
import queue
import sys

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException, np_to_triton_dtype
from values import ARRAYS, BINARY, same


def inputs(arrays):
    made = []
    for name, array in arrays.items():
        tensor = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
        tensor.set_data_from_numpy(array)
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
    assert not client.is_model_ready("nobody")
    assert client.get_server_metadata().name == "foresail"
    assert list(client.get_model_metadata("mlp").inputs[0].shape) == [-1, 32]
    assert list(client.get_model_config("mlp").config.input[0].dims) == [32]
    assert client.get_model_repository_index().models[0].state == "READY"


def check_infer(client, row):
    expected = client.infer("mlp", inputs({"input": row})).as_numpy("output")
    for pressing in (None, "gzip", "deflate"):
        result = client.infer(
            "mlp", inputs({"input": row}), outputs=[triton.InferRequestedOutput("output")], model_version="1",
            request_id="an id", priority=1, timeout=5_000_000, client_timeout=10, compression_algorithm=pressing,
        )  # fmt: skip
        assert np.array_equal(result.as_numpy("output"), expected)
        assert result.get_response().id == "an id"
    answers = queue.Queue()
    for _ in range(20):
        client.async_infer("mlp", inputs({"input": row}), lambda result, error: answers.put((result, error)))
    for _ in range(20):
        result, error = answers.get(timeout=20)
        assert error is None
        assert np.array_equal(result.as_numpy("output"), expected)


def check_stream(client, row):
    answers = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    for number in range(100):
        name = "nobody" if number == 50 else "mlp"
        client.async_stream_infer(name, inputs({"input": row}), request_id=str(number))
    received = [answers.get(timeout=20) for _ in range(100)]
    client.stop_stream()
    ids = [result.get_response().id for result, _ in received if result is not None]
    assert ids == [str(number) for number in range(100) if number != 50], ids
    (failure,) = [error for _, error in received if error is not None]
    return failure.message()


def main():
    with triton.InferenceServerClient(sys.argv[1]) as client:
        check_status(client)
        row = np.linspace(-1, 1, 96, dtype=np.float32).reshape(3, 32)
        check_infer(client, row)
        one, wide = inputs({"input": row}), inputs({"input": np.zeros((1, 33), np.float32)})
        refusals = {
            "stream": check_stream(client, row),
            "unknown model": refusal(lambda: client.infer("nobody", one)),
            "unknown version": refusal(lambda: client.infer("mlp", one, model_version="2")),
            "unknown output": refusal(lambda: client.infer("mlp", one, outputs=[triton.InferRequestedOutput("z")])),
            "wrong shape": refusal(lambda: client.infer("mlp", wide)),
        }
        assert client.get_inference_statistics("mlp").model_stats[0].inference_stats.success.count > 100
    with triton.InferenceServerClient(sys.argv[2]) as client:
        result = client.infer("echo", inputs(ARRAYS))
        assert all(same(array, result.as_numpy(f"{name}_out")) for name, array in ARRAYS.items())
        _, words = refusal(lambda: client.infer("echo", inputs({**ARRAYS, "bytes": BINARY})))
        assert "not UTF-8 text" in words, words
    print(json.dumps(refusals))


main()
