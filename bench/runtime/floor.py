"""The floor: the least that aiohttp, uvloop, orjson and ONNX Runtime can do for one infer request, and no more.

No routing, no validation, no queue, no limits, no metrics. What the runtime does is measured against it, in the
same run on the same machine. Usage: floor.py MODEL.onnx PORT
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable

import numpy as np

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the library is loaded
import onnxruntime as ort
import orjson
import uvloop
from aiohttp import web

HEADER_LENGTH = "Inference-Header-Content-Length"


def answer(array: np.ndarray, **more: object) -> bytes:
    output = {"name": "output", "datatype": "FP32", "shape": array.shape, **more}
    document = {"model_name": "mlp", "model_version": "1", "outputs": [output]}
    return orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)


def make_handler(path: str) -> Callable[[web.BaseRequest], Awaitable[web.Response]]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    run = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"]).run

    async def infer(request: web.BaseRequest) -> web.Response:
        body = await request.read()
        length = request.headers.get(HEADER_LENGTH)
        if length is None:
            tensor = orjson.loads(body)["inputs"][0]
            array = np.array(tensor["data"], np.float32).reshape(tensor["shape"])
            result = run(["output"], {"input": array})[0]
            return web.Response(body=answer(result, data=result.ravel()), content_type="application/json")
        size = int(length)
        tensor = orjson.loads(body[:size])["inputs"][0]
        array = np.frombuffer(body, np.float32, offset=size).reshape(tensor["shape"])
        result = run(["output"], {"input": array})[0]
        head = answer(result, parameters={"binary_data_size": result.nbytes})
        return web.Response(
            body=head + result.tobytes(),
            content_type="application/octet-stream",
            headers={HEADER_LENGTH: str(len(head))},
        )

    return infer


async def main(path: str, port: int) -> None:
    runner = web.ServerRunner(web.Server(make_handler(path), access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
