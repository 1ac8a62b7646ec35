"""What Argo CD and Flux make of a ModelDeployment in every state, from statuses that a real operator wrote."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import lupa
import pytest
import yaml

from foresail_operator.api.conditions import Type
from tests.examples import examples

if TYPE_CHECKING:
    import pathlib

FOLDER: Final = examples.EXAMPLES / "06-gitops"
RECORDED: Final = sorted((examples.ROOT / "tests/examples/statuses").glob("*.json"))
KEY: Final = "resource.customizations.health.foresail.dev_ModelDeployment"
SAME: Final = {"Healthy": "Current", "Degraded": "Failed", "Progressing": "InProgress", "Suspended": "InProgress"}
"""Argo CD's words and those of kstatus, which Flux waits by."""


def argo(resource: dict[str, Any]) -> tuple[str, str]:
    """Return the health and the message that Argo CD's script gives."""
    script = yaml.safe_load((FOLDER / "argocd-health.yaml").read_text())["data"][KEY]
    lua = lupa.LuaRuntime(unpack_returned_tuples=True)
    lua.globals().obj = lua.table_from(resource, recursive=True)
    found = lua.execute(script)
    return found["status"], found["message"]


def kstatus(resource: dict[str, Any]) -> str:
    """Return what kstatus says of an object of a kind that it does not know.

    As sigs.k8s.io/cli-utils has it: without an observed generation none is compared, and without a Ready it holds.
    """
    status = resource.get("status", {})
    holds = {one["type"]: one["status"] for one in status.get("conditions", ())}
    generation = resource["metadata"]["generation"]
    if status.get("observedGeneration", generation) != generation or holds.get(Type.RECONCILING) == "True":
        return "InProgress"
    if holds.get(Type.STALLED) == "True":
        return "Failed"
    return "Current" if holds.get(Type.READY, "True") == "True" else "InProgress"


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_argo_cd_says_of_each_recorded_state_what_is_so_and_flux_agrees(path: pathlib.Path) -> None:
    recorded = json.loads(path.read_text())
    health, message = argo(recorded["object"])
    assert (health, bool(message)) == (recorded["health"], True)
    assert kstatus(recorded["object"]) == SAME[health]


def test_trouble_is_told_with_its_reason_and_its_words() -> None:
    recorded = json.loads((examples.ROOT / "tests/examples/statuses/unschedulable.json").read_text())
    _, message = argo(recorded["object"])
    assert message.startswith("Unschedulable: 0/")


def test_a_model_that_is_being_deleted_is_on_the_way() -> None:
    resource = json.loads(RECORDED[0].read_text())["object"]
    metadata = resource["metadata"] | {"deletionTimestamp": "2026-01-02T03:04:05Z"}
    assert argo(resource | {"metadata": metadata})[0] == "Progressing"
