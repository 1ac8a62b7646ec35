"""What conditions say: their types, and every reason with its sentence and what to do.

The tables of docs/reference.md are made from the enums here, so a reason without an explanation can't exist.
"""

from __future__ import annotations

import enum
from typing import Final


class Type(enum.StrEnum):
    """The conditions, each with what True means."""

    meaning: str

    READY = "Ready", "A replica of this generation's revision answers."
    RECONCILING = "Reconciling", "The operator or Kubernetes is on the way to what the spec asks for."
    STALLED = "Stalled", "It will not get there by itself: someone has to change something."
    MODEL_LOADED = "ModelLoaded", "A replica of this revision fetched, verified, loaded and tried the model."
    AVAILABLE = "Available", "At least one replica, of this revision or an older one, takes requests."
    PROGRESSING = (
        "Progressing",
        "A rollout is moving or complete; False: there is none to be, or Kubernetes sees no progress.",
    )
    SCALING_ACTIVE = "ScalingActive", "The HorizontalPodAutoscaler reads its metrics and sets the size."
    ASLEEP = "Asleep", "No replica runs, as nobody asks; the first request wakes the model."

    def __new__(cls, value: str, meaning: str = "") -> Type:  # noqa: D102  # a member's value and its sentences
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member


class Reason(enum.StrEnum):
    """Why a condition is what it is; `meaning` and `remedy` are what the reference page prints."""

    meaning: str
    remedy: str

    READY = "Ready", "A replica answers.", "Nothing."
    CREATING = "Creating", "The operator is writing the objects of this model.", "Nothing: it takes seconds."
    PODS_STARTING = (
        "PodsStarting",
        "Pods of this revision are being scheduled, pull their image or load the model.",
        "Wait; a reason of its own appears when a pod can't start.",
    )
    ROLLING_OUT = (
        "RollingOut",
        "A new revision replaces the old one, which still answers.",
        "Wait; `kubectl rollout status deployment/NAME` shows the steps.",
    )
    SCALING = "Scaling", "The number of replicas is changing; those that are there answer.", "Wait."
    SCALED_TO_ZERO = (
        "ScaledToZero",
        "spec.replicas is 0, so nothing answers.",
        "Scale up: `kubectl scale mdep/NAME --replicas=1`.",
    )
    ASLEEP = (
        "Asleep",
        "Nobody asked for spec.scaling.idleSeconds, so no replica runs; the last one of this revision answered.",
        "Nothing: the first request wakes it and waits for its answer.",
    )
    AWAKE = "Awake", "Replicas run, or are being started.", "Nothing."
    COMPLETE = "Complete", "The last rollout is complete.", "Nothing."
    LOADED = "Loaded", "A replica of this revision has loaded the model.", "Nothing."
    LOADING = (
        "Loading",
        "Replicas fetch, verify, load or try the model.",
        "Wait; big models take as long as their fetch.",
    )
    NONE_AVAILABLE = "NoReplicaAvailable", "No replica takes requests.", "Read the Ready condition, which says why."
    INVALID_SPEC = (
        "InvalidSpec",
        "The spec can't be carried out; the message names the field and the fix.",
        "Change the field.",
    )
    INTERNAL_ERROR = (
        "InternalError",
        "The operator itself fails at this model, again and again: a bug of ours. What runs goes on.",
        "Report it with the trace in the operator's log; going back to the spec before helps where an edit brought it.",
    )
    CONFLICT = (
        "NameConflict",
        "An object that someone else owns has the name that a child of this model needs; it is not touched.",
        "Delete or rename that object, or give this model another name.",
    )
    CONTESTED = (
        "Contested",
        "Somebody else writes what this operator writes, again and again; the message names the field and who.",
        "Have the other one leave it alone. What sets a size is in `kubectl get hpa`: delete it, or use spec.scaling.",
    )
    REFUSED = (
        "Refused",
        "The API server refused a child: admission, validation, quota or missing rights; the message has its words.",
        "Do what the message says; the operator tries again by itself.",
    )
    WEBHOOK_UNAVAILABLE = (
        "WebhookUnavailable",
        "An admission webhook that has to agree to a child could not be asked; the message has the API server's words.",
        "Bring the webhook back, or take its configuration away; the operator tries again every five seconds.",
    )
    TERMINATING = (
        "NamespaceTerminating",
        "The namespace is being deleted, so nothing can be created in it.",
        "Nothing: the model goes with its namespace.",
    )
    WAITING_FOR_REMOVAL = (
        "WaitingForRemoval",
        "Children of a deleted ModelDeployment of the same name are still being removed.",
        "Nothing, unless the message names finalizers: what put them there has to take them away.",
    )
    IMAGE = (
        "ImagePullFailed",
        "A node can't pull the runtime image.",
        "Check the image's name in the message, spec.pod.imagePullSecrets, and the node's way to the registry.",
    )
    CRASH = (
        "ContainerCrashed",
        "The runtime ends again and again; the message has its exit code and last words.",
        "Read the words; `kubectl logs deployment/NAME --previous` has more.",
    )
    OUT_OF_MEMORY = (
        "OutOfMemory",
        "The container was killed at its memory limit.",
        "Raise spec.resources.limits.memory, or serve a smaller batch or model.",
    )
    UNSCHEDULABLE = (
        "Unschedulable",
        "No node takes the pod; the message is the scheduler's.",
        "Add a node or the claim, or ask for less or for another card in spec.resources, spec.gpu or spec.pod.",
    )
    QUOTA = (
        "QuotaExceeded",
        "A quota of the namespace is used up.",
        "Free some of it, raise the quota, or ask for less in spec.resources; it is tried again by itself.",
    )
    POD_REFUSED = (
        "PodRefused",
        "The pods can't be created; the message has the API server's words.",
        "Change what it names: a policy, PodSecurity, a limit range or spec.resources, a missing account or class.",
    )
    CONFIG = (
        "ContainerConfigFailed",
        "The kubelet can't make the container, mostly as what spec.pod.env names is missing, or the pod's sandbox.",
        "Create what the message names, or correct the reference; of a sandbox, look at the node and its network.",
    )
    VOLUME = (
        "VolumeFailed",
        "A volume can't be mounted: a ConfigMap, Secret or claim is missing or not bound.",
        "Create what the message names, or correct spec.model, spec.serving.tls or spec.serving.auth.",
    )
    PROBE = (
        "ProbeFailing",
        "A starting pod does not answer the kubelet's probe; the message is the kubelet's.",
        "Read `kubectl logs deployment/NAME`; an image of your own has to serve the runtime's ports and paths.",
    )
    EVICTED = "Evicted", "The kubelet evicted a pod; the message says for want of what.", "Ask for more of it."
    DOWNLOAD_FAILED = (
        "DownloadFailed",
        "The model can't be fetched; the message has the address and the answer.",
        "Correct spec.model.uri or the credentials, or repair the source.",
    )
    ACCESS_DENIED = (
        "AccessDenied",
        "The source refuses to hand out the model; the message has the address and the answer.",
        "Set or correct spec.model.credentials, and look who may read the file.",
    )
    CREDENTIALS_UNREADABLE = (
        "CredentialsUnreadable",
        "The Secret of the model's credentials makes no sense.",
        "Give it `token`, or `username` and `password`, and `ca.crt` if the source's authority is your own.",
    )
    TLS_UNREADABLE = (
        "TlsUnreadable",
        "The Secret of spec.serving.tls has no certificate and key that fit together.",
        "Give it `tls.crt` and `tls.key` in PEM, and `ca.crt` where clients have to show certificates.",
    )
    TOKENS_UNREADABLE = (
        "TokensUnreadable",
        "The Secret of spec.serving.auth has no tokens.",
        "Give it the key `token`, with one token a line.",
    )
    CERTIFICATE_INVALID = (
        "CertificateInvalid",
        "The source's certificate can't be trusted.",
        "Repair the certificate, or put its authority as `ca.crt` into the Secret of spec.model.credentials.",
    )
    SOURCE_UNSUPPORTED = (
        "SourceUnsupported",
        "This runtime can't read the address, or does not know its scheme.",
        "Change spec.model.uri, or use a newer runtime.",
    )
    MODEL_NOT_FOUND = (
        "ModelNotFound",
        "There is no model at the path that spec.model.uri names.",
        "Correct the path, or put the file there.",
    )
    MODEL_UNREADABLE = (
        "ModelUnreadable",
        "A file of the model is there, and the runtime can't read it; the message has the system's words.",
        "Let the user that the message names read it (`chmod -R a+rX`); else look at the volume.",
    )
    MODEL_AMBIGUOUS = (
        "ModelAmbiguous",
        "The folder holds more than one model.",
        "Name the file in spec.model.uri.",
    )
    MODEL_TOO_LARGE = (
        "ModelTooLarge",
        "The model's file, or what its archive holds, is larger than 10 GiB.",
        "Serve a smaller model, or keep its weights in files beside it on a claim; the limit is fixed.",
    )
    DIGEST_MISMATCH = (
        "DigestMismatch",
        "What was fetched has another digest than spec.model.digest.",
        "Correct the digest, or find out who changed the file.",
    )
    NOT_A_MODEL = (
        "NotAModel",
        "The file is no ONNX model.",
        "Check what the address really answers: often it is a page that asks to sign in.",
    )
    MODEL_INVALID = (
        "ModelInvalid",
        "The engine does not take the model; the message has its words.",
        "Export the model again, or for an older opset.",
    )
    EXTERNAL_DATA_MISSING = (
        "ExternalDataMissing",
        "The model keeps its weights in a file beside it, which is not there.",
        "Put that file beside the model on a claim, or export the model as one file.",
    )
    EXTERNAL_DATA_OUTSIDE = (
        "ExternalDataOutside",
        "The model names a file outside its own folder, which is never read.",
        "Export the model again with its data beside it, and ask where this file came from.",
    )
    MODEL_HUNG = (
        "ModelHung",
        "A run of the model did not end.",
        "Try the model where it was made; give more CPU or memory, or another execution provider.",
    )
    UNSUPPORTED_SIGNATURE = (
        "UnsupportedSignature",
        "An input or output of the model is no tensor.",
        "Export the model with tensors only; maps from class to score are taken, too.",
    )
    PROVIDER_MISSING = (
        "ProviderMissing",
        "The runtime image lacks an execution provider that was asked for.",
        "Correct spec.serving.executionProviders, or use another image.",
    )
    PROVIDER_FELL_BACK = (
        "ProviderFellBack",
        "The engine would have run on another provider than was asked for.",
        "Check the node's driver, or ask for another provider first.",
    )
    TASK_MISMATCH = (
        "TaskMismatch",
        "The model's inputs and outputs don't fit spec.serving.task.",
        "Set the task to auto or to what the model does.",
    )
    LABELS_UNREADABLE = (
        "LabelsUnreadable",
        "The names of the classes can't be read; the message says where they stand.",
        "Repair the model's metadata, or the file beside it.",
    )
    DRIFT_REFERENCE_INVALID = (
        "DriftReferenceInvalid",
        "The drift reference beside the model can't be read, or is another model's.",
        "Make it again with `foresail reference`, or take it away.",
    )
    WARMUP_FAILED = (
        "WarmupFailed",
        "The model failed its first run.",
        "Try the model where it was made, or set spec.serving.warmup to false.",
    )
    DESCRIPTION_INVALID = (
        "DescriptionInvalid",
        "The runtime can't read what this operator wrote: their releases are too far apart.",
        "Use neighbouring releases: see spec.runtime.",
    )
    DESCRIPTION_MISSING = (
        "DescriptionMissing",
        "The runtime was not told which model to serve.",
        "Look whether something changes the pods: its volumes or environment are not as written.",
    )
    PAUSED = (
        "DeploymentPaused",
        "Somebody has paused the Deployment, so nothing is rolled out.",
        "Let it go on: `kubectl rollout resume deployment/NAME`.",
    )
    NOT_PROGRESSING = (
        "ProgressDeadlineExceeded",
        "The rollout made no progress for half an hour.",
        "Read the pods' events: `kubectl describe pods -l foresail.dev/model=NAME`.",
    )
    FIXED_SIZE = "FixedSize", "spec.scaling is absent: the size is spec.replicas.", "Nothing."
    SCALING_READY = "ValidMetricFound", "The HorizontalPodAutoscaler reads its metrics.", "Nothing."
    SCALING_STARTING = "Starting", "The HorizontalPodAutoscaler has not looked yet.", "Wait: it looks every 15 seconds."
    SCALING_FAILED = (
        "MetricUnavailable",
        "The HorizontalPodAutoscaler can't read a metric, so it does not change the size; the message is its own.",
        "For cpu and memory: install metrics-server. For the load: see docs/scaling.md. Else: check the adapter.",
    )
    SCALING_DISABLED = (
        "ScalingDisabled",
        "The size is 0, so the HorizontalPodAutoscaler has paused; it goes on once a replica is there again.",
        "Nothing.",
    )
    BOUNDS_SET = (
        "BoundsSet",
        "The HorizontalPodAutoscaler can't ask for the load here, so the operator sets its bounds to the wanted size.",
        "Nothing; the message says why. docs/scaling.md says how to give it the metrics API.",
    )
    IDLE = "Idle", "Nothing is being changed.", "Nothing."
    NOT_STALLED = "NotStalled", "Nothing stands in the way.", "Nothing."

    def __new__(cls, value: str, meaning: str = "", remedy: str = "") -> Reason:  # noqa: D102  # a member's value and its sentences
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        member.remedy = remedy
        return member


FROM_RUNTIME: Final = frozenset(
    {
        Reason.DOWNLOAD_FAILED,
        Reason.ACCESS_DENIED,
        Reason.CERTIFICATE_INVALID,
        Reason.CREDENTIALS_UNREADABLE,
        Reason.TLS_UNREADABLE,
        Reason.TOKENS_UNREADABLE,
        Reason.SOURCE_UNSUPPORTED,
        Reason.MODEL_NOT_FOUND,
        Reason.MODEL_UNREADABLE,
        Reason.MODEL_AMBIGUOUS,
        Reason.MODEL_TOO_LARGE,
        Reason.DIGEST_MISMATCH,
        Reason.NOT_A_MODEL,
        Reason.MODEL_INVALID,
        Reason.EXTERNAL_DATA_MISSING,
        Reason.EXTERNAL_DATA_OUTSIDE,
        Reason.MODEL_HUNG,
        Reason.UNSUPPORTED_SIGNATURE,
        Reason.PROVIDER_MISSING,
        Reason.PROVIDER_FELL_BACK,
        Reason.TASK_MISMATCH,
        Reason.LABELS_UNREADABLE,
        Reason.DRIFT_REFERENCE_INVALID,
        Reason.WARMUP_FAILED,
        Reason.DESCRIPTION_INVALID,
        Reason.DESCRIPTION_MISSING,
    }
)
"""The words with which a runtime ends when it can't serve its model."""
