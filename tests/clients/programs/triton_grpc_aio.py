"""tritonclient.grpc.aio against both servers: triton_grpc_aio.py MLP ECHO (host:port each)."""

import asyncio
import json
import sys

import numpy as np
import tritonclient.grpc.aio as triton
from tritonclient.utils import np_to_triton_dtype
from values import ARRAYS, same


def inputs(arrays):
    made = []
    for name, array in arrays.items():
        tensor = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
        tensor.set_data_from_numpy(array)
        made.append(tensor)
    return made


async def requests(row):
    for number in range(50):
        yield {"model_name": "mlp", "inputs": inputs({"input": row}), "request_id": str(number)}


async def main():
    row = np.linspace(-1, 1, 32, dtype=np.float32).reshape(1, 32)
    async with triton.InferenceServerClient(sys.argv[1]) as client:
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready("mlp")
        results = await asyncio.gather(*(client.infer("mlp", inputs({"input": row})) for _ in range(20)))
        assert all(result.as_numpy("output").shape == (1, 8) for result in results)
        ids = []
        async for result, error in client.stream_infer(requests(row)):
            assert error is None
            ids.append(result.get_response().id)
        assert ids == [str(number) for number in range(50)]
    async with triton.InferenceServerClient(sys.argv[2]) as client:
        result = await client.infer("echo", inputs(ARRAYS))
        assert all(same(array, result.as_numpy(f"{name}_out")) for name, array in ARRAYS.items())
    print(json.dumps("ok"))


asyncio.run(main())
