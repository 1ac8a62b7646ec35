"""kserve's InferenceGRPCClient against both servers: kserve_grpc.py MLP ECHO (host:port each)."""

import asyncio
import json
import sys

import grpc
import numpy as np
from kserve import InferenceGRPCClient, InferInput, InferRequest
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
    row = np.linspace(-1, 1, 96, dtype=np.float32).reshape(3, 32)
    async with InferenceGRPCClient(sys.argv[1], timeout=20) as client:
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready("mlp")
        answers = [await client.infer(request("mlp", {"input": row}, binary)) for binary in (True, False)]
        for answer in answers:
            assert answer.id == "an id"
            assert np.allclose(answer.outputs[0].as_numpy(), answers[0].outputs[0].as_numpy(), atol=1e-6)
        refused = None
        try:
            await client.infer(request("nobody", {"input": row}, True))
        except grpc.RpcError as error:
            refused = [error.code().name, error.details()]
    async with InferenceGRPCClient(sys.argv[2], timeout=20) as client:
        answer = await client.infer(request("echo", ARRAYS, True))
        for output in answer.outputs:
            assert same(ARRAYS[output.name.removesuffix("_out")], output.as_numpy()), output.name
    print(json.dumps(refused))


asyncio.run(main())
