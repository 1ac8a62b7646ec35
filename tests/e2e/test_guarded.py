"""A model behind TLS and tokens: who has neither gets nothing, and probes, activator and autoscaling do without."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from typing import TYPE_CHECKING, Any, Final

import grpc
import pytest

from tests.bare_authority import BareAuthority
from tests.e2e import models
from tests.installation import eventually

if TYPE_CHECKING:
    import pathlib

    from tests.installation import Foresail

pytestmark = pytest.mark.e2e

TOKEN: Final = "opens-the-model"
SECONDS: Final = 30.0
TENSOR: Final = {"name": "input", "shape": [1, 32], "datatype": "FP32", "data": [0.5] * 32}
BODY: Final = json.dumps({"inputs": [TENSOR]})


@pytest.fixture
def host(foresail: Foresail, namespace: str, tmp_path: pathlib.Path) -> str:
    """Apply a model that sleeps when idle, with a certificate and a token; return its Service's name."""
    name = f"{models.NAME}.{namespace}.svc"
    BareAuthority(tmp_path).context(name)
    files = {"tls.crt": f"{name}.crt", "tls.key": f"{name}.key"}
    data = {key: base64.b64encode((tmp_path / file).read_bytes()).decode() for key, file in files.items()}
    for secret in (
        {"metadata": {"name": "certificate"}, "type": "kubernetes.io/tls", "data": data},
        {"metadata": {"name": "tokens"}, "stringData": {"token": TOKEN}},
    ):
        foresail.apply_text(namespace, {"apiVersion": "v1", "kind": "Secret"} | secret)
    guard = {"tls": {"secretName": "certificate"}, "auth": {"secretName": "tokens"}}
    scaling = {"minReplicas": 0, "maxReplicas": 2, "idleSeconds": 5}
    models.start(foresail, namespace, serving={"timeoutSeconds": 10, **guard}, scaling=scaling)
    return name


def ask(address: str, host: str, trusted: pathlib.Path, token: str | None) -> tuple[int, Any]:
    """Return status and body of one request on a connection of its own, whose certificate is verified."""
    context = ssl.create_default_context(cafile=str(trusted))
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # the authority has no key identifiers
    context.check_hostname = False  # the Service is called by its address
    connection = http.client.HTTPSConnection(address, 80, timeout=SECONDS, context=context)
    try:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request("POST", f"/v2/models/{models.NAME}/infer", BODY, {"Host": host, **headers})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_a_guarded_model_answers_whom_it_should_is_heard_by_the_operator_and_wakes(
    foresail: Foresail, namespace: str, host: str, tmp_path: pathlib.Path
) -> None:
    trusted = tmp_path / "ca.crt"
    address = foresail.cluster.get("service", models.NAME, "-n", namespace)["spec"]["clusterIP"]
    with foresail.cluster.joined():
        assert ask(address, host, trusted, TOKEN)[0] == 200
        status, body = ask(address, host, trusted, None)
        assert (status, list(body)) == (401, ["error"])
        assert ask(address, host, trusted, "another")[0] == 401
        plain = http.client.HTTPConnection(address, 80, timeout=SECONDS)
        plain.request("POST", f"/v2/models/{models.NAME}/infer", BODY)
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            plain.getresponse()
        assert called(foresail, namespace, host, trusted, f"Bearer {TOKEN}") is None
        assert called(foresail, namespace, host, trusted, "Bearer another") is grpc.StatusCode.UNAUTHENTICATED
        # its load is heard: only then is it known to be idle, and may sleep
        eventually(lambda: replicas(foresail, namespace), lambda found: found == [], SECONDS, "the model to sleep")
        assert ask(address, host, trusted, TOKEN)[0] == 200
    assert len(replicas(foresail, namespace)) == 1


def called(
    foresail: Foresail, namespace: str, host: str, trusted: pathlib.Path, authorization: str
) -> grpc.StatusCode | None:
    """Ask for the model's metadata over gRPC; return the code of a failure."""
    pod = replicas(foresail, namespace)[0]["status"]["podIP"]
    options = (("grpc.ssl_target_name_override", host),)
    credentials = grpc.ssl_channel_credentials(trusted.read_bytes())
    name = models.NAME.encode()
    with grpc.secure_channel(f"{pod}:8081", credentials, options) as channel:
        metadata = channel.unary_unary("/inference.GRPCInferenceService/ModelMetadata")
        try:
            metadata(b"\x0a" + bytes([len(name)]) + name, SECONDS, (("authorization", authorization),))
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code
    return None


def replicas(foresail: Foresail, namespace: str) -> list[dict[str, Any]]:
    return foresail.objects.pods(namespace, f"foresail.dev/model={models.NAME}")
