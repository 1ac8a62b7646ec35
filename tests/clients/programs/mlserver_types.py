"""mlserver's types and codecs against the MLP: mlserver_types.py HTTP GRPC (host:port each).

mlserver has no client of its own: its users build requests from its types and send them with whatever they have.
"""

import json
import sys
import urllib.request

import grpc
import numpy as np
from mlserver import types
from mlserver.codecs import NumpyCodec
from mlserver.grpc import converters, dataplane_pb2_grpc
from mlserver.grpc import dataplane_pb2 as pb


def build(row):
    return types.InferenceRequest(
        id="an id",
        inputs=[NumpyCodec.encode_input("input", row)],
        outputs=[types.RequestOutput(name="output")],
    )


def over_rest(address, request):
    sent = urllib.request.Request(
        f"http://{address}/v2/models/mlp/infer",
        request.model_dump_json().encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(sent, timeout=20) as response:
        return types.InferenceResponse.model_validate_json(response.read())


def metadata(address):
    with urllib.request.urlopen(f"http://{address}/v2/models/mlp", timeout=20) as response:
        model = types.MetadataModelResponse.model_validate_json(response.read())
    with urllib.request.urlopen(f"http://{address}/v2", timeout=20) as response:
        types.MetadataServerResponse.model_validate_json(response.read())
    return model


def over_grpc(address, row):
    with grpc.insecure_channel(address) as channel:
        stub = dataplane_pb2_grpc.GRPCInferenceServiceStub(channel)
        assert stub.ServerReady(pb.ServerReadyRequest()).ready
        assert stub.ModelReady(pb.ModelReadyRequest(name="mlp")).ready
        answers = []
        for use_raw in (True, False):
            message = converters.ModelInferRequestConverter.from_types(build(row), "mlp", use_raw=use_raw)
            answers.append(converters.ModelInferResponseConverter.to_types(stub.ModelInfer(message)))
        return answers


def main():
    row = np.linspace(-1, 1, 96, dtype=np.float32).reshape(3, 32)
    assert metadata(sys.argv[1]).inputs[0].shape == [-1, 32]
    request = build(row)
    answers = [over_rest(sys.argv[1], request), *over_grpc(sys.argv[2], row)]
    for answer in answers:
        assert answer.id == "an id"
        assert answer.model_name == "mlp"
        expected = NumpyCodec.decode_output(answers[0].outputs[0])
        assert expected.shape == (3, 8)
        assert np.allclose(NumpyCodec.decode_output(answer.outputs[0]), expected, atol=1e-6)
    print(json.dumps("ok"))


main()
