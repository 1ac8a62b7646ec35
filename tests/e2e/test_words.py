"""Why a model is not ready, as the kubelet and the runtime say it: within ten seconds, in their own words."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from foresail_testbed.errors import TestbedError
from tests import recorder
from tests.e2e import models
from tests.installation import eventually

if TYPE_CHECKING:
    from tests.installation import Foresail

pytestmark = pytest.mark.e2e

SECONDS: Final = 10.0
PLANTED: Final = "planted-secret"
"""In a query and in a Secret: to be seen nowhere else."""
RUNTIME: Final = "localhost/foresail-runtime:0.1.0"
PYTHON: Final = "/opt/foresail/bin/python"
SOURCE: Final = """
import http.server, time
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.partition("?")[0]
        if path == "/slow.onnx":
            self.send_response(200); self.send_header("Content-Length", "3000000"); self.end_headers()
            self.wfile.write(b"\\x08\\x08" + b"x" * 1999998); self.wfile.flush(); time.sleep(300)
        elif path in ("/gone.onnx", "/broken.onnx"):
            self.send_error(404 if path == "/gone.onnx" else 500)
        else:
            body = b"<html>sign in</html>" if path == "/page.onnx" else open("/source/mlp.onnx", "rb").read()
            body = body[:len(body) // 2] if path == "/half.onnx" else body
            self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers()
            self.wfile.write(body)
http.server.ThreadingHTTPServer(("", 8000), Answer).serve_forever()
"""


@pytest.fixture
def source(foresail: Foresail, namespace: str) -> str:
    """Serve models the wrong way; return the address."""
    kubectl = foresail.cluster.kubectl
    kubectl("create", "configmap", "source", "-n", namespace, f"--from-literal=source.py={SOURCE}",
            f"--from-file=mlp.onnx={models.FILE}")  # fmt: skip
    container = {
        "name": "source",
        "image": RUNTIME,
        "command": [PYTHON, "/source/source.py"],
        "volumeMounts": [{"name": "source", "mountPath": "/source"}],
        "readinessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 1},
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "source", "labels": {"app": "source"}},
        "spec": {"containers": [container], "volumes": [{"name": "source", "configMap": {"name": "source"}}],
                 "terminationGracePeriodSeconds": 0},
    }  # fmt: skip
    foresail.apply_text(namespace, pod)
    kubectl("wait", "-n", namespace, "--for=condition=Ready", "pod/source", "--timeout=60s")
    address: str = foresail.cluster.get("pod", "source", "-n", namespace)["status"]["podIP"]
    return f"http://{address}:8000"


def apply(foresail: Foresail, namespace: str, name: str, **spec: Any) -> None:
    manifest = models.deployment(**spec)
    foresail.apply_text(namespace, manifest | {"metadata": {"name": name}})


def said(foresail: Foresail, namespace: str, name: str, reason: str, seconds: float = SECONDS) -> str:
    """Return the sentence of Ready once it has that reason."""
    found = eventually(
        lambda: foresail.condition(namespace, name, "Ready"),
        lambda one: (one.get("status"), one.get("reason")) == ("False", reason),
        seconds,
        f"{name} to say {reason}",
    )
    recorder.keep(foresail.model(namespace, name))
    message: str = found["message"]
    return message


def logs(foresail: Foresail, namespace: str) -> str:
    """Return what the model's container says, and the one before it if there was one."""
    text = ""
    for more in ((), ("--previous",)):
        with contextlib.suppress(TestbedError):
            text += foresail.cluster.kubectl(
                "logs", "-n", namespace, "-l", "foresail.dev/model=fetched", "--tail=-1", *more
            )
    return text


@pytest.mark.parametrize(
    "case",
    [
        ("gone.onnx", None, "ModelNotFound", ("404",)),
        ("broken.onnx", None, "DownloadFailed", ("500", "attempt")),
        ("slow.onnx", None, "Loading", ("fetching", "bytes of 3,000,000 are here")),
        ("page.onnx", None, "NotAModel", ("HTML",)),
        ("half.onnx", None, "ModelInvalid", ("Protobuf parsing failed",)),
        ("mlp.onnx", f"sha256:{'0' * 64}", "DigestMismatch", ("0" * 64, models.digest().removeprefix("sha256:"))),
    ],
    ids=lambda case: case[0],
)
def test_a_fetch_that_fails_says_address_and_answer_and_no_secret(
    foresail: Foresail, namespace: str, source: str, case: tuple[str, str | None, str, tuple[str, ...]]
) -> None:
    path, digest, reason, words = case
    kubectl = foresail.cluster.kubectl
    kubectl("create", "secret", "generic", "keys", "-n", namespace, f"--from-literal=token={PLANTED}")
    model: dict[str, Any] = {"uri": f"{source}/{path}?token={PLANTED}", "credentials": {"secretName": "keys"}}
    model |= {"digest": digest} if digest else {}
    apply(foresail, namespace, "fetched", model=model)
    message = said(foresail, namespace, "fetched", reason)
    address = () if digest else (path,)  # a wrong digest is no fault of the address
    assert [word for word in (*address, *words) if word not in message] == []
    events = kubectl("get", "events", "-n", namespace, "-o", "json")
    log = eventually(
        lambda: logs(foresail, namespace), lambda text: "listening" in text, 10, "the log to say something"
    )
    assert PLANTED not in json.dumps(foresail.model(namespace, "fetched")["status"]) + events + log


def test_what_the_kubelet_can_not_do_is_said_in_its_words(foresail: Foresail, namespace: str) -> None:
    foresail.apply_text(namespace, models.configmap())
    missing = [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "a"}}}]
    store = "localhost/foresail-example-models:0.1.0"
    cases: dict[str, tuple[dict[str, Any], str, str]] = {
        "image": ({"runtime": {"image": "localhost/none-such:1"}}, "ImagePullFailed", "localhost/none-such:1"),
        "secret": ({"pod": {"env": missing}}, "ContainerConfigFailed", 'secret "keys" not found'),
        "volume": ({"model": {"uri": "configmap://none-such/a.onnx"}}, "VolumeFailed", '"none-such" not found'),
        "crash": ({"runtime": {"image": store}}, "ContainerCrashed", "exit code 2: "),
    }
    for name, (spec, _, _) in cases.items():
        apply(foresail, namespace, name, **spec)
    found = {name: said(foresail, namespace, name, reason) for name, (_, reason, _) in cases.items()}
    assert {name: words for name, (_, _, words) in cases.items() if words not in found[name]} == {}, found
    assert "unrecognized arguments: serve" in found["crash"], "the last line of its log"


def hungry() -> bytes:
    """Return a model of a few hundred bytes whose run takes 800 MB."""
    shape = numpy_helper.from_array(np.array([50_000_000, 4], np.int64), "shape")
    nodes = [
        helper.make_node("Expand", ["x", "shape"], ["large"]),
        helper.make_node("Add", ["large", "large"], ["twice"]),
        helper.make_node("ReduceSum", ["twice"], ["y"], keepdims=0),
    ]
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 4])
    y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [])
    graph = helper.make_graph(nodes, "hungry", [x], [y], [shape])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    encoded: bytes = model.SerializeToString()
    return encoded


def test_a_kill_for_memory_says_the_limit_and_what_was_in_use(
    foresail: Foresail, namespace: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("hungry") / "hungry.onnx"
    file.write_bytes(hungry())
    foresail.cluster.kubectl("create", "configmap", "hungry", "-n", namespace, f"--from-file={file}")
    limits = {"limits": {"memory": "300Mi", "cpu": "1"}, "requests": {"memory": "100Mi", "cpu": "50m"}}
    apply(foresail, namespace, "hungry", model={"uri": "configmap://hungry/hungry.onnx"}, resources=limits)
    message = said(foresail, namespace, "hungry", "OutOfMemory", 15)
    assert "at its memory limit of 300Mi; its runtime last reported " in message
    assert "Raise spec.resources.limits.memory" in message


def test_a_probe_that_nobody_answers_is_named(foresail: Foresail, namespace: str) -> None:
    foresail.apply_text(namespace, models.configmap())
    env = [{"name": "SOME", "value": "thing"}]
    apply(foresail, namespace, "deaf", pod={"env": env})
    foresail.wait_ready(namespace, "deaf")
    # what an image of one's own could do: it runs, and listens elsewhere
    patch = {
        "spec": {"template": {"spec": {"containers": [{"name": "runtime", "command": ["sh", "-c", "sleep 300"]}]}}}
    }
    foresail.cluster.kubectl("patch", "deployment/deaf", "-n", namespace, "-p", json.dumps(patch))
    found = eventually(
        lambda: foresail.condition(namespace, "deaf", "Reconciling"),
        lambda one: one.get("reason") == "ProbeFailing",
        15,
        "the probe to be named",
    )
    recorder.keep(foresail.model(namespace, "deaf"), "probe-failing")
    assert "Readiness probe failed" in found["message"]
    assert foresail.condition(namespace, "deaf", "Available")["status"] == "True"
