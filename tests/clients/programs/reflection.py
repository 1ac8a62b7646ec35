"""What grpcurl does: knows nothing of the service, asks it for its own description, and calls it with that.

reflection.py MLP (host:port); runs with the project's own interpreter and imports nothing of the runtime.
"""

import json
import sys

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


def main():
    with grpc.insecure_channel(sys.argv[1]) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert "inference.GRPCInferenceService" in database.get_services()
        service = descriptor_pool.DescriptorPool(database).FindServiceByName("inference.GRPCInferenceService")

        def call(name, document):
            method = service.methods_by_name[name]
            request = message_factory.GetMessageClass(method.input_type)
            answer = message_factory.GetMessageClass(method.output_type)
            made = channel.unary_unary(f"/{service.full_name}/{name}", request.SerializeToString, answer.FromString)
            return json_format.MessageToDict(made(json_format.ParseDict(document, request()), timeout=20))

        assert call("ModelReady", {"name": "mlp"}) == {"ready": True}
        tensor = {"name": "input", "datatype": "FP32", "shape": [1, 32], "contents": {"fp32_contents": [0.5] * 32}}
        answer = call("ModelInfer", {"model_name": "mlp", "inputs": [tensor]})
    print(json.dumps(answer))


main()
