"""What the operator writes into a pod and the runtime reads back: ports, paths, names, the model's description.

Both sides import this one module, so nothing in it is typed twice; it imports the standard library only.
An operator and a runtime work together while their contract versions differ by at most one.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Final

CONTRACT_VERSION: Final = 1

HTTP_PORT: Final = 8080
GRPC_PORT: Final = 8081
HTTP_PORT_NAME: Final = "http"
GRPC_PORT_NAME: Final = "grpc"

LIVE_PATH: Final = "/v2/health/live"
"""Answers 200 while the process can serve; the kubelet restarts the container when it stops."""
READY_PATH: Final = "/v2/health/ready"
"""Answers 200 when the model answered its warm-up; 503 with `state`, `reason` and `message` otherwise."""
METRICS_PATH: Final = "/metrics"
LOAD_PATH: Final = "/load"
"""One line of JSON, a Load: what the pod holds right now and counters since its start."""
LOAD_LATENCY_QUERY: Final = "latency"
"""`LOAD_PATH?latency=1` answers a Load with its latency counts; without the query they are left out."""
LATENCY_BUCKETS_SECONDS: Final = tuple(round(0.001 * 1.25**step, 6) for step in range(50))
"""Upper bounds of a Load's latency counts, 1 ms to 56 s, a quarter apart: a p95 read from them errs by 12 % at most."""
LATENCY_COUNTS: Final = len(LATENCY_BUCKETS_SECONDS) + 1
"""How many counts a Load has: one a bucket, and one for what took longer."""

NUMBERS_END: Final = 2**53
"""Every number in a Load or a Termination is smaller, so that a float holds it: no honest count comes near."""

START_TOLD_SECONDS: Final = 60.0
START_PHASES: Final = ("start", "fetch", "verify", "load", "warm")
"""What a runtime does until it is ready: Python and imports; the file, its digest; the session; the first runs."""

DESCRIPTION_FOLDER: Final = "/etc/foresail/model"
DESCRIPTION_KEY: Final = "model.json"
"""Key of the ConfigMap, and so the file's name in DESCRIPTION_FOLDER, that holds a ModelDescription."""
DOWNLOAD_FOLDER: Final = "/var/lib/foresail/models"
"""Writable (an emptyDir): what is fetched lands here and outlives a restart of the container."""
SOURCE_FOLDER: Final = "/mnt/foresail/source"
"""Read-only: the ConfigMap or the claim that a `configmap:` or `pvc:` address names is mounted here."""
CREDENTIALS_FOLDER: Final = "/etc/foresail/credentials"
"""Read-only: the Secret `model.credentials.secretName` names, a file a key."""
TLS_FOLDER: Final = "/etc/foresail/tls"
"""Read-only: the Secret `serving.tls.secretName` names, with the three files below."""
TLS_CERT_KEY: Final = "tls.crt"
TLS_KEY_KEY: Final = "tls.key"
TLS_CA_KEY: Final = "ca.crt"
"""Only read where client certificates are asked for: Secrets that cert-manager makes have it either way."""
TOKENS_FOLDER: Final = "/etc/foresail/auth"
"""Read-only: the Secret `serving.auth.secretName` names."""
TOKENS_KEY: Final = "token"
"""One bearer token a line; any of them opens, so that one can be replaced without a gap."""
SCRATCH_FOLDER: Final = "/tmp"  # noqa: S108  # an emptyDir of the pod's own, the only other writable place
TERMINATION_MESSAGE_PATH: Final = "/dev/termination-log"
"""Where the runtime leaves a Termination before it exits because of an error."""

ENV_DESCRIPTION: Final = "FORESAIL_MODEL_DESCRIPTION"
"""Path of the model's description; set by the operator to DESCRIPTION_FOLDER/DESCRIPTION_KEY."""
ENV_DRAIN_SECONDS: Final = "FORESAIL_DRAIN_SECONDS"
"""How long a stopping pod keeps accepting connections after it has said it is not ready."""
ENV_TLS_CERT: Final = "FORESAIL_TLS_CERT"
"""File with the server's certificate and its chain; with ENV_TLS_KEY, HTTP and gRPC speak TLS only."""
ENV_TLS_KEY: Final = "FORESAIL_TLS_KEY"
ENV_TLS_CA: Final = "FORESAIL_TLS_CA"
"""File with the authorities whose client certificates are taken; set, a caller has to have one."""
ENV_TOKENS: Final = "FORESAIL_TOKENS"
"""File with the bearer tokens that open the server, one a line; unset: it is open."""
ENV_ACCESS_LOG: Final = "FORESAIL_ACCESS_LOG"
"""1: a line in the log for each request that is answered."""
ENV_POD_NAME: Final = "FORESAIL_POD_NAME"
ENV_POD_NAMESPACE: Final = "FORESAIL_POD_NAMESPACE"
ENV_CPU_LIMIT: Final = "FORESAIL_CPU_LIMIT"
"""The container's CPU limit in cores, rounded up (downward API); the cgroup is read where it is absent."""


def model_ready_path(name: str) -> str:
    """Return the path that answers 200 while this very model is ready there, and 404 where it is not served."""
    return f"/v2/models/{name}/ready"


@dataclasses.dataclass(frozen=True, slots=True)
class Batching:
    """How requests share a run: rows in a batch (None: the model's own limit) and a wait that is 0 unless asked."""

    max_size: int | None = None
    max_delay_milliseconds: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class ModelDescription:
    """One model as the operator describes it to the runtime; field by field the JSON of `model.json`.

    `uri` keeps the scheme the user wrote (file, pvc, configmap, http, https); `path` is set where the
    model is a mounted file or folder, so the runtime never has to know how volumes are named.
    """

    name: str
    uri: str
    version: str = "1"
    path: str | None = None
    digest: str | None = None
    """`sha256:<64 hex digits>` of the file at `uri`, before unpacking; None: not checked."""
    task: str = "auto"
    """auto, tensors, image-classification, object-detection or tabular."""
    batching: Batching = dataclasses.field(default_factory=Batching)
    max_queue_size: int = 1000
    timeout_seconds: float = 60.0
    size_limit_bytes: int = 10 * 2**30
    warmup: bool = True
    warmup_data: str = "random"
    """random, zeros, or the name of a file beside the model with an inference request in it (JSON)."""
    instances: int = 1
    """Runs of the model at a time, each with its share of the threads."""
    execution_providers: tuple[str, ...] = ()
    """ONNX Runtime provider names in order of wish; empty: what the image's variant is built for."""
    contract_version: int = CONTRACT_VERSION

    def encode(self) -> str:
        """Return the description as JSON text, keys sorted, so that equal descriptions are equal text.

        A field that has its default is left out: the text, and with it the name of the ConfigMap and the pod
        template, stays what it was when a later release adds a field. A default therefore never changes.
        """
        fields = dataclasses.asdict(self)
        defaults = dataclasses.asdict(ModelDescription(name="", uri=""))
        said = {key: value for key, value in fields.items() if key == "contract_version" or value != defaults[key]}
        return json.dumps(said, sort_keys=True, separators=(",", ":"))

    @classmethod
    def decode(cls, text: str) -> ModelDescription:
        """Read what encode wrote; unknown keys of a newer operator are left out.

        Raises:
            ContractError: The text is no description, or its contract version is too far from ours.
        """
        try:
            data: dict[str, Any] = json.loads(text)
            version = int(data.get("contract_version", 0))
        except (ValueError, TypeError, AttributeError) as error:
            raise ContractError(f"the model description is not JSON: {error}") from error
        if abs(version - CONTRACT_VERSION) > 1:
            raise ContractError(
                f"the model description has contract version {version}, this runtime reads {CONTRACT_VERSION - 1} "
                f"to {CONTRACT_VERSION + 1}: use an operator and a runtime of neighbouring releases"
            )
        try:
            batching = Batching(**_known(Batching, data.pop("batching", None) or {}))
            providers = tuple(data.pop("execution_providers", ()))
            return cls(**_known(cls, data), batching=batching, execution_providers=providers)
        except TypeError as error:
            raise ContractError(f"the model description lacks a field: {error}") from error


@dataclasses.dataclass(frozen=True, slots=True)
class Load:
    """What one pod carries: the line LOAD_PATH answers with. Counters start at 0 with the process and never fall."""

    state: str
    """starting, ready or draining."""
    in_flight: int
    """Inference requests (HTTP and gRPC) being decoded, run or encoded now."""
    queued: int
    """Inference requests that wait for the engine."""
    requests: int
    """Counter: inference requests answered, whatever the status."""
    load_seconds: float
    """Counter: the integral of `in_flight + queued` over time, so that two looks give the exact mean between them."""
    batch_size: int | None = None
    """Rows of the batch with the best throughput seen; None until measured."""
    batch_seconds: float | None = None
    """How long a run of `batch_size` rows takes where no limit holds it up; None until measured."""
    latency: tuple[int, ...] = ()
    """Counters: requests by latency, one a bucket of LATENCY_BUCKETS_SECONDS and one for what took longer."""
    age_seconds: float | None = None
    """How old the process is; only for START_TOLD_SECONDS from its being ready, as `phases`."""
    phases: dict[str, float] = dataclasses.field(default_factory=dict)
    """START_PHASES and how long each took, in seconds, from the process's begin until it was ready."""
    refused: int = 0
    """Counter: those of `requests` for which there was no room, in the queue or in memory, so that nothing of them was
    begun; `latency` is without them. A runtime that does not say it counts none."""
    cores: float | None = None
    """CPU cores that the container may use, parts of one too; None: as many as there are, or the runs are a GPU's."""

    def encode(self) -> str:
        """Return one line of JSON; what is None or empty is left out."""
        data = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return json.dumps(
            {key: value for key, value in data.items() if value not in (None, (), {})}, separators=(",", ":")
        )

    @classmethod
    def decode(cls, text: str | bytes) -> Load:
        """Read what encode wrote; unknown keys of a newer runtime are left out, and counts by other buckets.

        Raises:
            ContractError: The text is no Load, or has a number that is negative, or no smaller than NUMBERS_END.
        """
        try:
            data: dict[str, Any] = json.loads(text)
            latency = tuple(data.pop("latency", ()))
            load = cls(**_known(cls, data), latency=latency if len(latency) == LATENCY_COUNTS else ())
            optional = (
                one for one in (load.batch_size, load.batch_seconds, load.age_seconds, load.cores) if one is not None
            )
            counters = (load.in_flight, load.queued, load.requests, load.load_seconds, load.refused)
            numbers = (*counters, *load.phases.values())
            if any(isinstance(one, bool) or not 0 <= one < NUMBERS_END for one in (*numbers, *optional, *load.latency)):
                raise ContractError(f"a load has no negative numbers and no immense ones: {text[:200]!r}")
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise ContractError(f"this is no load: {text[:200]!r}") from error
        return load


@dataclasses.dataclass(frozen=True, slots=True)
class Termination:
    """Why a runtime ended, in words for the condition of its ModelDeployment; at most 4096 bytes once encoded."""

    reason: str
    message: str
    model: str | None = None
    memory_bytes: int | None = None
    """What the process held in memory when it last looked; None: it did not look."""

    def encode(self) -> str:
        """Return JSON text; the message is cut so that the kubelet keeps all of it (it reads 4096 bytes)."""
        message = self.message.encode()[:3000].decode(errors="ignore")
        memory = {} if self.memory_bytes is None else {"memory_bytes": self.memory_bytes}
        return json.dumps({"reason": self.reason, "message": message, "model": self.model} | memory)

    @classmethod
    def decode(cls, text: str) -> Termination | None:
        """Read a termination message; None if it was not the runtime that wrote it.

        Any process in any container may write one: memory that none can hold is unknown, half a character a `?`.
        """
        try:
            data = json.loads(text)
            reason, message, model = _text(data["reason"]), _text(data["message"]), data.get("model")
            memory = data.get("memory_bytes")
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None
        held = memory if type(memory) is int and 0 <= memory < NUMBERS_END else None
        return cls(reason, message, None if model is None else _text(model), held)


class ContractError(ValueError):
    """A description that this runtime can't read."""


def _text(value: object) -> str:
    """Return what UTF-8 can write: JSON's escapes may leave half a character."""
    return str(value).encode(errors="replace").decode()


def _known(cls: type, data: dict[str, Any]) -> dict[str, Any]:
    names = {field.name for field in dataclasses.fields(cls)}
    return {key: value for key, value in data.items() if key in names}
