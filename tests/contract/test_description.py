"""What the operator writes into a pod, the runtime reads back equal."""

from __future__ import annotations

import ast
import json
import pathlib
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

import foresail_runtime
from foresail_operator import generate
from foresail_operator.api import v1alpha1
from foresail_operator.api.conditions import FROM_RUNTIME
from foresail_operator.desired import description
from foresail_runtime import contract

if TYPE_CHECKING:
    from collections.abc import Iterator

GOLDEN = pathlib.Path(__file__).parents[1] / "operator" / "golden"


def children(case: str) -> dict[str, dict[str, Any]]:
    text = generate.golden((GOLDEN / case / "modeldeployment.yaml").read_text())
    found: dict[str, dict[str, Any]] = {}
    for child in yaml.safe_load_all(text):
        found.setdefault(child["kind"], child)  # the replicas' come before the proxies'
    return found


@pytest.mark.parametrize("case", sorted(path.parent.name for path in GOLDEN.glob("*/modeldeployment.yaml")))
def test_description_in_the_config_map_is_read_back_equal(case: str) -> None:
    raw = yaml.safe_load((GOLDEN / case / "modeldeployment.yaml").read_text())
    model = v1alpha1.parse(raw | {"metadata": {"namespace": "default", "uid": "u"} | raw["metadata"]})
    written = children(case)["ConfigMap"]["data"][contract.DESCRIPTION_KEY]
    assert contract.ModelDescription.decode(written) == description.describe(model)


def test_every_field_of_the_resource_that_the_runtime_reads_arrives() -> None:
    text = children("everything")["ConfigMap"]["data"][contract.DESCRIPTION_KEY]
    assert contract.ModelDescription.decode(text) == contract.ModelDescription(
        name="everything",
        uri="https://models.example.com/everything.onnx",
        version="v3",
        digest="sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        task="tabular",
        batching=contract.Batching(max_size=16, max_delay_milliseconds=2.5),
        max_queue_size=64,
        timeout_seconds=2.5,
        warmup=False,
        instances=2,
        execution_providers=("CPUExecutionProvider",),
    )


def test_a_description_leaves_defaults_out_so_that_a_new_field_renames_no_config_map() -> None:
    text = children("smallest")["ConfigMap"]["data"][contract.DESCRIPTION_KEY]
    assert set(json.loads(text)) == {"name", "uri", "contract_version"}


def test_defaults_of_the_resource_are_those_of_the_description() -> None:
    raw = {"metadata": {"name": "a", "namespace": "b", "uid": "c"}, "spec": {"model": {"uri": "https://h/x"}}}
    assert description.describe(v1alpha1.parse(raw)) == contract.ModelDescription(name="a", uri="https://h/x")


def test_pod_has_the_contracts_ports_folders_and_variables() -> None:
    pod = children("everything")["Deployment"]["spec"]["template"]["spec"]
    (runtime,) = pod["containers"]
    assert {port["name"]: port["containerPort"] for port in runtime["ports"]} == {
        contract.HTTP_PORT_NAME: contract.HTTP_PORT,
        contract.GRPC_PORT_NAME: contract.GRPC_PORT,
    }
    assert {mount["mountPath"] for mount in runtime["volumeMounts"]} == {
        contract.DESCRIPTION_FOLDER,
        contract.DOWNLOAD_FOLDER,
        contract.SCRATCH_FOLDER,
        contract.CREDENTIALS_FOLDER,
    }
    variables = {variable["name"]: variable.get("value") for variable in runtime["env"]}
    assert variables[contract.ENV_DESCRIPTION] == f"{contract.DESCRIPTION_FOLDER}/{contract.DESCRIPTION_KEY}"
    assert contract.ENV_POD_NAME in variables
    assert contract.ENV_POD_NAMESPACE in variables


def test_a_mounted_model_is_where_the_description_says() -> None:
    claim = children("claim")
    read = contract.ModelDescription.decode(claim["ConfigMap"]["data"][contract.DESCRIPTION_KEY])
    (runtime,) = claim["Deployment"]["spec"]["template"]["spec"]["containers"]
    mounted = {mount["mountPath"] for mount in runtime["volumeMounts"]}
    assert read.path == f"{contract.SOURCE_FOLDER}/ranking/2026.1/model.onnx"
    assert contract.SOURCE_FOLDER in mounted


def reasons() -> Iterator[str]:
    """Yield the reason words with which the runtime can end, from its source: written there, or a constant's."""
    files = pathlib.Path(foresail_runtime.__file__).parent.rglob("*.py")
    trees = [(path.stem, ast.parse(path.read_text())) for path in files]
    constants = {
        (module, ast.unparse(node.target)): ast.unparse(node.value)
        for module, tree in trees
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and node.value is not None
    }
    for module, tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("ModelUnusable") and node.args:
                written = ast.unparse(node.args[0])
                home, _, name = written.rpartition(".")
                yield from re.findall(r"'([A-Z][A-Za-z]+)'", constants.get((home or module, name), written))
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "reason":
                yield from re.findall(r"'([A-Z][A-Za-z]+)'", ast.unparse(node.value))


def test_every_word_with_which_the_runtime_ends_has_a_sentence_in_the_reference() -> None:
    words = set(reasons())
    assert {"NotAModel", "LabelsUnreadable", "DriftReferenceInvalid"} <= words, "written there, or a constant"
    assert words <= {str(reason) for reason in FROM_RUNTIME}
