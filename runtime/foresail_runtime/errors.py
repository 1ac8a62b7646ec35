"""The errors a request or a model can end with: each a small class that knows its HTTP status and its gRPC code.

A message is a sentence for the user, with the value that was wrong and what to do about it. Whatever is
raised that is none of these is our own mistake: it becomes a 500 with a request id, and a stack trace in the log.
"""

# ruff: noqa: N818  # "QueueFull", not "QueueFullError": they are answers, and read as such where they are raised

from __future__ import annotations

from typing import ClassVar


class ForesailError(Exception):
    """A failure that has words for the user; subclasses say what kind it is."""

    http_status: ClassVar[int] = 500
    grpc_code: ClassVar[str] = "INTERNAL"
    """Name of a member of `grpc.StatusCode`; a name, so that this module needs no grpc."""
    reason: ClassVar[str] = "internal"
    """The word under which metrics count it."""
    retry_after_seconds: ClassVar[int | None] = None
    """Sent as `Retry-After`: the same request can succeed later. None: it makes no sense to repeat it."""

    @property
    def message(self) -> str:
        """The sentence itself."""
        return str(self.args[0]) if self.args else type(self).__name__


class InvalidRequest(ForesailError):
    """The request contradicts the protocol or the model's signature."""

    http_status = 400
    grpc_code = "INVALID_ARGUMENT"
    reason = "invalid"


class Unauthorized(ForesailError):
    """The caller did not say who it is, or is nobody we know."""

    http_status = 401
    grpc_code = "UNAUTHENTICATED"
    reason = "unauthorized"

    def __init__(self, message: str, challenge: str | None = None) -> None:
        super().__init__(message)
        self.challenge = challenge
        """What `WWW-Authenticate` asks for; None: a client certificate, for which HTTP has no word."""


class Forbidden(ForesailError):
    """Nobody may do this here, whoever it is."""

    http_status = 403
    grpc_code = "PERMISSION_DENIED"
    reason = "forbidden"


class NotFound(ForesailError):
    """No such model, version or path."""

    http_status = 404
    grpc_code = "NOT_FOUND"
    reason = "not_found"


class MethodNotAllowed(ForesailError):
    """The path exists and does not take this method."""

    http_status = 405
    grpc_code = "UNIMPLEMENTED"
    reason = "method"

    def __init__(self, message: str, allowed: tuple[str, ...]) -> None:
        super().__init__(message)
        self.allowed = allowed


class TooLarge(ForesailError):
    """The body, or what it unpacks to, is over the limit."""

    http_status = 413
    grpc_code = "RESOURCE_EXHAUSTED"
    reason = "too_large"


class RequestTimeout(ForesailError):
    """The client did not send all of the request in time."""

    http_status = 408
    grpc_code = "DEADLINE_EXCEEDED"
    reason = "slow_client"


class BrokenBody(InvalidRequest):
    """What follows the headers is no body; where the next request would begin is not known."""


class UnsupportedEncoding(ForesailError):
    """The body is packed in a way that is not spoken here."""

    http_status = 415
    grpc_code = "UNIMPLEMENTED"
    reason = "encoding"


class QueueFull(ForesailError):
    """More work waits than is allowed to; nothing of this request was started."""

    http_status = 429
    grpc_code = "RESOURCE_EXHAUSTED"
    reason = "queue_full"
    retry_after_seconds = 1


class ModelFailed(ForesailError):
    """The model itself raised while it ran on this request's data."""

    http_status = 500
    grpc_code = "INTERNAL"
    reason = "model"


class Unsupported(ForesailError):
    """A part of the protocol, or of ONNX, that this runtime does not speak."""

    http_status = 501
    grpc_code = "UNIMPLEMENTED"
    reason = "unsupported"


class NotReady(ForesailError):
    """The model is being fetched, loaded or warmed, failed to load, or has stopped."""

    http_status = 503
    grpc_code = "UNAVAILABLE"
    reason = "not_ready"
    retry_after_seconds: ClassVar[int | None] = 1


class Unloaded(NotReady):
    """Somebody unloaded the model: it comes back when somebody loads it, not by itself."""

    retry_after_seconds = None


class DeadlineExceeded(ForesailError):
    """The request waited longer than it, or the server, allows."""

    http_status = 504
    grpc_code = "DEADLINE_EXCEEDED"
    reason = "timeout"


class ModelUnusable(Exception):
    """A model can't be fetched or loaded; it ends the start with a reason word and a sentence.

    The reason is one CamelCase word for the condition of the ModelDeployment, the message says what to change.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
