"""The ConfigMap that tells a pod which model it serves.

It is immutable and its name carries the digest of its content, so a running pod never sees it change and a pod of
an older revision finds its own description after a restart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from foresail_operator.api.kinds import CONFIG_MAP, Manifest
from foresail_operator.desired import meta, names, source
from foresail_runtime import contract

if TYPE_CHECKING:
    from foresail_operator.api.v1alpha1 import ModelDeployment


def describe(model: ModelDeployment) -> contract.ModelDescription:
    """Return the description that the runtime reads."""
    spec, serving = model.spec.model, model.spec.serving
    return contract.ModelDescription(
        name=model.metadata.name,
        uri=spec.uri,
        version=spec.version,
        path=source.build(spec.uri).path,
        digest=spec.digest,
        task=serving.task,
        batching=contract.Batching(serving.batching.max_size, serving.batching.max_delay_milliseconds),
        max_queue_size=serving.max_queue_size,
        timeout_seconds=serving.timeout_seconds,
        warmup=serving.warmup,
        instances=serving.instances,
        execution_providers=serving.execution_providers,
    )


def build(model: ModelDeployment) -> Manifest:
    """Return the ConfigMap."""
    text = describe(model).encode()
    name = names.description(model.metadata.name, text)
    return meta.child(model, CONFIG_MAP, name, data={contract.DESCRIPTION_KEY: text}, immutable=True)
