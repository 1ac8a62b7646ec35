"""The floor of gRPC: the least that grpcio.aio and ONNX Runtime can do for one ModelInfer, and no more.

No validation, no queue, no limits, no metrics. Usage: floor_grpc.py MODEL.onnx PORT
"""

import os
import sys

import grpc
import numpy as np
import uvloop

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the library is loaded
import onnxruntime as ort

from foresail_runtime.grpc import oip_pb2


async def main(path: str, port: int) -> None:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    run = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"]).run

    async def infer(message: oip_pb2.ModelInferRequest, _: object) -> oip_pb2.ModelInferResponse:
        entry = message.inputs[0]
        array = np.frombuffer(message.raw_input_contents[0], np.float32).reshape(entry.shape)
        result = run(["output"], {"input": array})[0]
        answer = oip_pb2.ModelInferResponse(model_name="mlp", model_version="1")
        answer.outputs.add(name="output", datatype="FP32", shape=result.shape)
        answer.raw_output_contents.append(result.tobytes())
        return answer

    handler = grpc.unary_unary_rpc_method_handler(
        infer, oip_pb2.ModelInferRequest.FromString, oip_pb2.ModelInferResponse.SerializeToString
    )
    server = grpc.aio.server()
    name = "inference.GRPCInferenceService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, {"ModelInfer": handler}),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
