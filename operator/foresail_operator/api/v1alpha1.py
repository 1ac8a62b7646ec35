"""ModelDeployment v1alpha1, typed once: the CRD, the reference page and every reader come from these models.

A field is here because code reads it. Defaults live here and nowhere else. Rules that take more than one
field, or whose message should say the fix, are CEL rules beside the class they speak about; the API server
runs them, and `foresail_operator.checks` covers what CEL can't see.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from foresail_operator.api.base import ObjectName, Quantity, Resource, rule, text
from foresail_operator.api.pod import Pod
from foresail_operator.api.scaling import Scaling

GROUP: Final = "foresail.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "ModelDeployment"
PLURAL: Final = "modeldeployments"
SINGULAR: Final = "modeldeployment"
SHORT_NAME: Final = "mdep"

MOST_PROXIED: Final = 256
"""Replicas behind a proxy: an answer of DNS has room for so many addresses, and each proxy looks at each of them."""

Task = Literal["auto", "tensors", "image-classification", "object-detection", "tabular"]


class Credentials(Resource):
    """What opens a source that is not public."""

    secret_name: ObjectName = Field(
        description="Name of a Secret with `token`, or `username` and `password`, and with `ca.crt` where the source's "
        "authority is your own; for http and https.",
    )


class Model(Resource):
    """Which file is served, and the version that users see."""

    uri: str = Field(
        min_length=1,
        max_length=2048,
        description="Where the model is: `https://host/path/model.onnx` (or http), `configmap://NAME/KEY`, "
        "`pvc://CLAIM/path/model.onnx`, or `file:///path/model.onnx` inside the runtime image.",
        json_schema_extra=rule(
            "(self.matches('^https?://[^/?#]+/.+') || self.matches('^configmap://[a-z0-9][-a-z0-9.]*/[.]?[-_a-zA-Z0-9][-._a-zA-Z0-9]*$')"
            " || self.matches('^pvc://[a-z0-9][-a-z0-9.]*/.+') || self.matches('^file:///.+')) && "
            "!self.matches('[[:cntrl:]]|^http.* ')",
            "write https://HOST/PATH, http://HOST/PATH (a space as %20), configmap://NAME/KEY, pvc://CLAIM/PATH or "
            "file:///PATH",
        )
        + rule(
            "!self.matches('^https?://[^/?#]*@')",
            "take the name and password out of the address: put them into a Secret and name it in "
            "spec.model.credentials.secretName",
        )
        + rule(
            "!self.matches('^(pvc|file)://.*(/|^)[.][.](/|$)')",
            "the path must not contain '..': write it as it is from the claim's or the image's root",
        ),
    )
    digest: str | None = Field(
        default=None,
        max_length=71,
        description="`sha256:` and 64 hex digits of the file at `uri`; what is loaded must match. "
        "Not checked when absent.",
        json_schema_extra=rule(
            "self.matches('^sha256:[0-9a-f]{64}$')",
            "write sha256: and the 64 lower-case hex digits that `sha256sum model.onnx` prints",
        ),
    )
    version: str = Field(
        default="1",
        max_length=63,
        description="The version that users see in paths, answers and metrics.",
        json_schema_extra=rule(
            "self.matches('^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$')",
            "write letters, digits, '-', '_' and '.', beginning and ending with a letter or a digit, e.g. 2 or 2026.1",
        ),
    )
    credentials: Credentials | None = Field(default=None, description=text(Credentials))


class Batching(Resource):
    """How requests share one run of the model."""

    max_size: int | None = Field(
        default=None,
        ge=1,
        le=4096,
        description="Most rows in one run. When absent: 64 if the warm-up finds it pays, else 1.",
    )
    max_delay_milliseconds: float = Field(
        default=0.0,
        ge=0,
        le=1000,
        description="How long a free engine waits for a batch to fill. 0: it never waits.",
    )


class Tls(Resource):
    """The certificate that replicas serve HTTP and gRPC with."""

    secret_name: ObjectName = Field(
        description="Name of a Secret with `tls.crt` and `tls.key`. A new certificate is served without a restart.",
    )
    client_certificates: bool = Field(
        default=False, description="Ask callers for a certificate that `ca.crt` of the Secret vouches for."
    )


class Auth(Resource):
    """Bearer tokens that open the replicas."""

    secret_name: ObjectName = Field(
        description="Name of a Secret whose key `token` has one token a line. Changes count without a restart.",
    )


class Serving(Resource):
    """How requests are served."""

    batching: Batching = Field(default=Batching(), description=text(Batching))
    max_queue_size: int = Field(
        default=1000,
        ge=1,
        le=100_000,
        description=(
            "Requests that may wait in one replica; the next one is answered 429 with Retry-After, "
            "and asks for a further replica where scaling goes by the load."
        ),
    )
    instances: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Runs of the model at a time in one replica; they share its threads and the weights.",
    )
    timeout_seconds: float = Field(
        default=60.0,
        gt=0,
        le=3600,
        description="Longest time of a request in a replica, waiting included; also how long a stopping replica "
        "lets its requests finish.",
    )
    warmup: bool = Field(
        default=True,
        description="Run the model before the replica says that it is ready, which also shows whether requests may "
        "share a run; without it none do.",
    )
    task: Task = Field(
        default="auto",
        description="What the model is for, which decides what the replica answers besides tensors; "
        "`auto` looks at the model's inputs and outputs.",
    )
    execution_providers: tuple[Annotated[str, Field(max_length=64)], ...] = Field(
        default=(),
        max_length=8,
        description="In order of wish; OpenVINOExecutionProvider takes the openvino image. "
        "When empty: what the image is built for.",
        json_schema_extra=rule(
            "self.all(p, p.matches('^[A-Za-z]{1,40}ExecutionProvider$'))",
            "write ONNX Runtime's own names, e.g. CPUExecutionProvider, CUDAExecutionProvider or "
            "OpenVINOExecutionProvider",
        ),
    )
    access_log: bool = Field(
        default=False, description="Write a line to the log for each request, without its payload."
    )
    tls: Tls | None = Field(default=None, description=text(Tls))
    auth: Auth | None = Field(default=None, description=text(Auth))


class Amounts(Resource):
    """Quantities by resource."""

    cpu: Quantity | None = Field(default=None, description="Cores, e.g. 500m or 2.")
    memory: Quantity | None = Field(default=None, description="Memory, e.g. 512Mi.")
    ephemeral_storage: Quantity | None = Field(
        default=None, alias="ephemeral-storage", description="Disk for the fetched model and scratch files, e.g. 10Gi."
    )


class Resources(Resource):
    """CPU and memory of one replica. GPUs are asked for in spec.gpu."""

    requests: Amounts = Field(
        default=Amounts(),
        description="What the scheduler sets aside for a replica. When absent: cpu 250m and memory 256Mi, "
        "or the limit where that is less.",
    )
    limits: Amounts = Field(
        default=Amounts(),
        description="What a replica can't exceed; the cpu limit also sets the number of the engine's threads. "
        "When absent: cpu 1 and memory 1Gi, or the request where that is more.",
    )


class Gpu(Resource):
    """GPUs of one replica; the runtime's GPU image is used, and the taint of GPU nodes is tolerated."""

    count: int = Field(default=1, ge=1, le=16, description="GPUs (or slices of one) a replica gets.")
    resource_name: str = Field(
        default="nvidia.com/gpu",
        max_length=253,
        description="Extended resource to ask for, e.g. nvidia.com/mig-1g.10gb for a MIG slice.",
        json_schema_extra=rule(
            "self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$')",
            "write DOMAIN/NAME as `kubectl describe node` lists it, e.g. nvidia.com/gpu",
        ),
    )
    product: str | None = Field(
        default=None,
        max_length=63,
        description="Card, as the node label nvidia.com/gpu.product has it, e.g. NVIDIA-A100-SXM4-80GB.",
        json_schema_extra=rule(
            "self.matches('^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$')",
            "write it as `kubectl get nodes -L nvidia.com/gpu.product` shows it, e.g. Tesla-T4",
        ),
    )
    memory: Quantity | None = Field(
        default=None,
        description="Least memory of the card, e.g. 40Gi, compared with the node label nvidia.com/gpu.memory; 8 % "
        "less is accepted, as cards report less than their name says.",
    )


class Runtime(Resource):
    """Which runtime serves the model. When absent, the image is chosen once and kept until the spec changes."""

    image: str | None = Field(
        default=None, min_length=1, max_length=512, description="An image of your own in place of Foresail's."
    )
    version: str | None = Field(
        default=None,
        max_length=100,
        description="Release of Foresail's runtime to pin, e.g. 0.1.0.",
        json_schema_extra=rule(
            "self.matches('^[A-Za-z0-9_][-A-Za-z0-9_.]*$')", "write a release as its image tag has it, e.g. 0.1.0"
        ),
    )
    model_config = Resource.model_config | {
        "json_schema_extra": rule(
            "!(has(self.image) && has(self.version))",
            "set runtime.image or runtime.version, not both: an image already names its version",
        )
    }


class Spec(Resource):
    """What is wanted."""

    replicas: int | None = Field(
        default=None,
        ge=0,
        le=10_000,
        description="A fixed number of replicas, what `kubectl scale` sets; the scale subresource is read where it is "
        "written. When both this and `scaling` are absent: 1.",
    )
    scaling: Scaling | None = Field(default=None, description=text(Scaling))
    load_balancing: Literal["connection", "request"] = Field(
        default="connection",
        description="What goes to a replica each: `connection`, ended every few seconds to even load out, or "
        "`request`, to the replica with the fewest, through HAProxy pods of the model's own.",
    )
    hold_requests: bool = Field(
        default=True,
        description="While no replica is ready, let requests wait for one at the activator instead of failing.",
    )
    model: Model = Field(description=text(Model))
    serving: Serving = Field(default=Serving(), description=text(Serving))
    resources: Resources = Field(default=Resources(), description=text(Resources))
    gpu: Gpu | None = Field(default=None, description=text(Gpu))
    runtime: Runtime = Field(default=Runtime(), description=text(Runtime))
    pod: Pod = Field(default=Pod(), description=text(Pod))
    model_config = Resource.model_config | {
        "json_schema_extra": rule(
            "!(has(self.replicas) && has(self.scaling))",
            "spec.replicas fixes the size and spec.scaling moves it, so only one of them can be there: change "
            "spec.scaling.minReplicas and spec.scaling.maxReplicas, or remove spec.scaling to set spec.replicas",
        )
        + rule(
            "self.holdRequests || !has(self.scaling) || self.scaling.minReplicas > 0",
            "a model that sleeps at 0 needs its requests held: set scaling.minReplicas to 1 or more, or take "
            "holdRequests away",
        )
        + rule(
            "self.loadBalancing != 'request' || !has(self.serving) || !has(self.serving.tls)",
            "a proxy sees no requests inside TLS: take serving.tls away and end TLS at an Ingress, or take "
            "loadBalancing away",
        )
        + rule(
            f"self.loadBalancing != 'request' || (has(self.scaling) ? self.scaling.maxReplicas : has(self.replicas) ? "
            f"self.replicas : 1) <= {MOST_PROXIED}",
            f"at most {MOST_PROXIED} replicas can be behind a proxy: lower replicas or scaling.maxReplicas, or take "
            "loadBalancing away",
        )
    }


class Metadata(Resource):
    """What we read of an object's metadata."""

    name: str
    namespace: str
    uid: str
    generation: int = 1
    deletion_timestamp: str | None = None


class ModelDeployment(Resource):
    """One model, served by a Deployment of replicas behind a Service."""

    metadata: Metadata
    spec: Spec

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name: what queues, caches and logs know it by."""
        return self.metadata.namespace, self.metadata.name


def parse(raw: dict[str, Any]) -> ModelDeployment:
    """Read an object as the API server sends it; unknown fields are never read.

    Raises:
        pydantic.ValidationError: A field breaks the schema, which the API server refuses unless the CRD is older.
    """
    return ModelDeployment.model_validate(raw)
