"""tritonclient over HTTP and gRPC while versions change: triton_repository.py HTTP GRPC FOLDER TOKEN.

FOLDER is the served folder's model `mlp`, with version 1 in it.
"""

import json
import pathlib
import shutil
import sys
import threading
import time

import numpy as np
import tritonclient.grpc as over_grpc
import tritonclient.http as over_http

http, grpc, folder, token = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3]), sys.argv[4]
KEY = {"Authorization": f"Bearer {token}"}
ROW = np.linspace(-1, 1, 32, dtype=np.float32).reshape(1, 32)
answers = {"http": [], "grpc": []}
failed = []
end = threading.Event()


def ask(kind, client, module):
    tensor = module.InferInput("input", [1, 32], "FP32")
    tensor.set_data_from_numpy(ROW)
    while not end.is_set():
        try:
            result = client.infer("mlp", [tensor])
        except Exception as error:  # noqa: BLE001  # counted, whatever it is
            failed.append(f"{kind}: {error}")
            continue
        response = result.get_response()
        answers[kind].append(response["model_version"] if kind == "http" else response.model_version)


def wait_for(version):
    until = time.monotonic() + 20
    while not all(got.count(version) >= 50 for got in answers.values()):
        assert time.monotonic() < until, f"version {version} never answered"
        time.sleep(0.01)


clients = {"http": over_http.InferenceServerClient(http), "grpc": over_grpc.InferenceServerClient(grpc)}
asking = [
    threading.Thread(target=ask, args=("http", over_http.InferenceServerClient(http), over_http)),
    threading.Thread(target=ask, args=("grpc", over_grpc.InferenceServerClient(grpc), over_grpc)),
]
for thread in asking:
    thread.start()
try:
    wait_for("1")
    for version in range(2, 8):
        target = folder / str(version)
        target.mkdir()
        shutil.copy(folder / "1" / "model.onnx", target / "model.onnx")
        kind = "http" if version % 2 else "grpc"
        clients[kind].load_model("mlp", headers={key.lower(): value for key, value in KEY.items()})
        assert clients[kind].is_model_ready("mlp", str(version))
        wait_for(str(version))
finally:
    end.set()
    for thread in asking:
        thread.join(20)

index = clients["http"].get_model_repository_index()
assert index == [{"name": "mlp", "version": "7", "state": "READY"}], index
try:
    clients["http"].unload_model("mlp")
except over_http.InferenceServerException as error:
    refused = [str(error.status()), error.message()]
clients["http"].unload_model("mlp", headers=KEY)
assert not clients["grpc"].is_model_ready("mlp")
clients["grpc"].load_model("mlp", headers={"authorization": f"Bearer {token}"})
assert clients["http"].is_model_ready("mlp")
print(json.dumps({"answered": {kind: len(got) for kind, got in answers.items()}, "failed": failed, "refused": refused}))
