"""kserve's InferenceRESTClient against both servers: kserve_rest.py MLP ECHO (host:port each)."""

import asyncio
import json
import sys

import httpx
import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
from kserve.utils.numpy_codec import from_np_dtype
from values import ARRAYS, same


def request(model, arrays, binary):
    made = []
    for name, array in arrays.items():
        tensor = InferInput(name, list(array.shape), from_np_dtype(array.dtype))
        tensor.set_data_from_numpy(array, binary_data=binary)
        made.append(tensor)
    return InferRequest(model, made, request_id="an id")


async def main():
    mlp, echo = (f"http://{address}" for address in sys.argv[1:])
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    assert await client.is_server_live(mlp)
    assert await client.is_server_ready(mlp)
    assert await client.is_model_ready(mlp, "mlp")
    row = np.linspace(-1, 1, 96, dtype=np.float32).reshape(3, 32)
    answers = [await client.infer(mlp, request("mlp", {"input": row}, binary), "mlp") for binary in (True, False)]
    for answer in answers:
        assert answer.id == "an id"
        assert answer.model_name == "mlp"
        assert np.allclose(answer.outputs[0].as_numpy(), answers[0].outputs[0].as_numpy(), atol=1e-6)
        assert answer.outputs[0].as_numpy().shape == (3, 8)
    answer = await client.infer(echo, request("echo", ARRAYS, True), "echo")
    for output in answer.outputs:
        assert same(ARRAYS[output.name.removesuffix("_out")], output.as_numpy()), output.name
    try:
        await client.infer(mlp, request("mlp", {"input": row[:, :5]}, True), "mlp")
    except httpx.HTTPStatusError as error:
        print(json.dumps(str(error)))


asyncio.run(main())
