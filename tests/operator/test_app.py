"""What the operator's parts are told of what a watch shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from foresail_operator.access import Access
from foresail_operator.api import kinds
from foresail_operator.app import Operator
from foresail_operator.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def pod(version: int, owner: str | None, **status: Any) -> dict[str, Any]:
    metadata = {"name": "p", "namespace": "team", "uid": "p", "resourceVersion": str(version)}
    said = {} if owner is None else {"foresail.dev/model": owner}
    return {"metadata": metadata | {"annotations": said, "labels": said}, "status": status}


@pytest.fixture
async def operator() -> AsyncIterator[Operator]:
    async with aiohttp.ClientSession() as session:
        yield Operator(Settings(), Access("http://127.0.0.1:1", None, None), session)


async def test_both_models_between_which_a_pod_changes_are_looked_at(operator: Operator) -> None:
    operator.sink(kinds.POD, "ADDED", pod(1, "fraud"))
    assert operator.queue.depth == 1
    operator.sink(kinds.POD, "MODIFIED", pod(2, "other"))
    assert operator.queue.depth == 2


async def test_a_bug_in_timing_a_pods_start_costs_its_model_no_look(operator: Operator) -> None:
    with pytest.raises(KeyError):
        operator.sink(kinds.POD, "ADDED", pod(1, "fraud", conditions=[{"type": "of no status"}]))
    assert operator.queue.depth == 1
