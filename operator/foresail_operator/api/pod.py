"""spec.pod: the only doors into the pod, chosen so that none of them widens what the pod may do."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from foresail_operator.api.base import LABEL_KEY, LabelValue, ObjectName, Open, Resource, keyed, label_keys, rule, text

OWN_LABELS: Final = ("name", "instance", "component", "managed-by", "version")
"""Labels under app.kubernetes.io/ that we set ourselves, and a user therefore can't."""


class KeyReference(Resource):
    """A key of a Secret or a ConfigMap in the same namespace."""

    name: ObjectName = Field(description="Name of the Secret or ConfigMap.")
    key: str = Field(max_length=253, pattern="^[-._A-Za-z0-9]+$", description="Its key.")
    optional: bool | None = Field(default=None, description="Start without it when it is missing.")


class ValueFrom(Resource):
    """Where a value comes from."""

    secret_key_ref: KeyReference | None = Field(default=None, description="A key of a Secret.")
    config_map_key_ref: KeyReference | None = Field(default=None, description="A key of a ConfigMap.")
    model_config = Resource.model_config | {
        "json_schema_extra": rule(
            "has(self.secretKeyRef) != has(self.configMapKeyRef)", "set one of secretKeyRef and configMapKeyRef"
        )
    }


class EnvironmentVariable(Resource):
    """One environment variable of the runtime's container."""

    name: str = Field(
        max_length=128,
        description="Its name; those that change how the runtime is loaded or configured are refused.",
        json_schema_extra=rule(
            "self.matches('^[A-Za-z_][A-Za-z0-9_]*$')", "write letters, digits and '_', no digit first"
        )
        + rule(
            "!(self.startsWith('FORESAIL_') || self.startsWith('LD_') || self.startsWith('PYTHON') || "
            "self in ['PATH', 'HOME', 'TMPDIR', 'BASH_ENV', 'ENV', 'GCONV_PATH', 'GLIBC_TUNABLES', 'SSLKEYLOGFILE'])",
            "this variable decides how the runtime is loaded or configured: use the fields of spec.serving and "
            "spec.resources, or an image of your own in spec.runtime.image",
        ),
    )
    value: str | None = Field(default=None, max_length=8192, description="Its value.")
    value_from: ValueFrom | None = Field(default=None, description=text(ValueFrom))
    model_config = Resource.model_config | {
        "json_schema_extra": rule("!(has(self.value) && has(self.valueFrom))", "set value or valueFrom, not both")
    }


class Toleration(Resource):
    """A taint of nodes that replicas may run beside."""

    key: str | None = Field(
        default=None,
        max_length=317,
        pattern=f"^({LABEL_KEY})?$",
        description="The taint's key; absent with Exists: every taint.",
    )
    operator: Literal["Exists", "Equal"] | None = Field(default=None, description="How the value is compared.")
    value: LabelValue | None = Field(default=None, description="The taint's value, for Equal.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="The taint's effect; absent: every effect."
    )
    toleration_seconds: int | None = Field(
        default=None, description="How long a NoExecute taint is put up with; absent: for ever."
    )
    model_config = Resource.model_config | {
        "json_schema_extra": rule(
            "(has(self.key) && self.key != '') || (has(self.operator) && self.operator == 'Exists')",
            "set key, or operator: Exists for every taint",
        )
        + rule(
            "!has(self.value) || self.value == '' || !has(self.operator) || self.operator == 'Equal'",
            "take value away, or write operator: Equal",
        )
        + rule(
            "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            "write effect: NoExecute, or take tolerationSeconds away",
        )
    }


class SecretName(Resource):
    """A Secret with which images are pulled."""

    name: ObjectName = Field(description="Name of the Secret.")


class Pod(Resource):
    """Where replicas run and what they carry. Nothing here can loosen the pod's security context."""

    node_selector: dict[str, LabelValue] = Field(
        default={}, max_length=32, description="Labels that a node must have.", json_schema_extra=label_keys()
    )
    tolerations: tuple[Toleration, ...] = Field(default=(), max_length=32, description=text(Toleration))
    affinity: Open | None = Field(
        default=None,
        description="Affinity of a pod, as Kubernetes has it. What spec.gpu needs is added to its required node terms.",
    )
    topology_spread: tuple[Open, ...] | None = Field(
        default=None,
        max_length=8,
        description="Topology spread constraints, as Kubernetes has them; the label selector is filled in. "
        "When absent: replicas spread over nodes where they can.",
    )
    labels: dict[str, LabelValue] = Field(
        default={},
        max_length=32,
        description="More labels of replicas and proxies.",
        json_schema_extra=rule(
            "self.all(k, !k.startsWith('foresail.dev/') && !(k in ["
            + ", ".join(f"'app.kubernetes.io/{label}'" for label in OWN_LABELS)
            + "]))",
            "foresail.dev/… and app.kubernetes.io/" + ", ".join(OWN_LABELS) + " are set by Foresail: choose other keys",
        )
        + label_keys(),
    )
    annotations: dict[str, str] = Field(
        default={},
        max_length=32,
        description="More annotations of replicas and proxies, prometheus.io/ of replicas.",
        json_schema_extra=rule(
            "self.all(k, !k.startsWith('foresail.dev/') && !k.contains('apparmor') && !k.contains('seccomp'))",
            "annotations of foresail.dev/, AppArmor and seccomp can't be set: choose other keys",
        )
        + label_keys("(?i)"),  # of these Kubernetes takes a domain in capitals, too
    )
    service_account_name: ObjectName | None = Field(
        default=None,
        description="Service account of the pods. Its token is not mounted.",
    )
    priority_class_name: ObjectName | None = Field(
        default=None,
        description="Priority class of the pods.",
        json_schema_extra=rule(
            "!self.startsWith('system-')", "classes of the system are not for models: choose or make another class"
        ),
    )
    runtime_class_name: ObjectName | None = Field(
        default=None, description="Runtime class of the pods, e.g. nvidia or gvisor."
    )
    image_pull_secrets: tuple[SecretName, ...] = Field(
        default=(), max_length=16, description=text(SecretName), json_schema_extra=keyed("name")
    )
    env: tuple[EnvironmentVariable, ...] = Field(
        default=(), max_length=64, description=text(EnvironmentVariable), json_schema_extra=keyed("name")
    )
