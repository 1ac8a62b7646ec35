"""tritonclient.http.aio against both servers: triton_http_aio.py MLP ECHO (host:port each)."""

import asyncio
import json
import sys

import numpy as np
import tritonclient.http.aio as triton
from tritonclient.utils import np_to_triton_dtype
from values import ARRAYS, same


def inputs(arrays, binary=True):
    made = []
    for name, array in arrays.items():
        tensor = triton.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
        tensor.set_data_from_numpy(array, binary_data=binary)
        made.append(tensor)
    return made


async def main():
    async with triton.InferenceServerClient(sys.argv[1]) as client:
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready("mlp")
        assert (await client.get_model_config("mlp"))["max_batch_size"] > 0
        assert (await client.get_model_repository_index())[0]["name"] == "mlp"
        row = np.linspace(-1, 1, 32, dtype=np.float32).reshape(1, 32)
        for binary in (True, False):
            for pressing in (None, "gzip", "deflate"):
                results = await asyncio.gather(
                    *(
                        client.infer("mlp", inputs({"input": row}, binary), request_compression_algorithm=pressing)
                        for _ in range(10)
                    )
                )
                assert all(result.as_numpy("output").shape == (1, 8) for result in results)
    async with triton.InferenceServerClient(sys.argv[2]) as client:
        result = await client.infer("echo", inputs(ARRAYS))
        assert all(same(array, result.as_numpy(f"{name}_out")) for name, array in ARRAYS.items())
    print(json.dumps("ok"))


asyncio.run(main())
