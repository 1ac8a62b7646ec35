"""What can go wrong between us and the API server, as classes that callers can tell apart."""

from __future__ import annotations

from typing import Final

_REFUSALS: Final = frozenset({400, 403, 405, 413, 415, 422})
_DOES_NOT_FIT: Final = ("failed to create typed patch object", "failed to convert new object")
"""How an apply is refused whose fields are not those of the kind, or whose list names a key twice, or whose value is of
another type than the field: with a 500."""
_NO_WEBHOOK: Final = "failed calling webhook"


class OperatorError(Exception):
    """The base of our own errors."""


class SettingsError(OperatorError):
    """An environment variable that can't be used; the message names it and the fix."""


class NotLeading(OperatorError):  # noqa: N818  # a state, not a failure
    """A write was about to be sent after the lease's deadline."""


class HistoryLost(OperatorError):  # noqa: N818  # a state, not a failure
    """The API server is further back than it was: all that the watches have shown may be of what never was."""


class ApiError(OperatorError):
    """The API server's answer was no success.

    `status` is the HTTP status, 0 when there was no answer; `reason` and `message` are the server's own words.
    """

    def __init__(
        self, status: int, reason: str, message: str, retry_after_seconds: float | None = None, what: str = ""
    ) -> None:
        super().__init__(f"{what}: {message}" if what else message)
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after_seconds = retry_after_seconds


class NotFound(ApiError):  # noqa: N818  # named as the API names it
    """There is no such object."""


class Conflict(ApiError):  # noqa: N818
    """The object is another one, or newer, than the write assumed."""


class Refused(ApiError):  # noqa: N818
    """The server won't take this write however often it is sent: validation, admission, quota, rights."""


class WebhookUnavailable(ApiError):  # noqa: N818
    """A webhook that has to agree to the write could not be asked: no fault of the API server's, and it may last."""


class Unavailable(ApiError):  # noqa: N818
    """No answer, an overloaded server or its own error: the same request may succeed later."""


def from_answer(status: int, body: dict[str, object], retry_after_seconds: float | None, what: str) -> ApiError:
    """Return the error that an answer of the API server stands for."""
    reason, message = str(body.get("reason") or status), str(body.get("message") or f"HTTP status {status}")
    if status == 404:
        return NotFound(status, reason, message, None, what)
    if status == 409:
        return Conflict(status, reason, message, None, what)
    if status in _REFUSALS or (status == 500 and message.startswith(_DOES_NOT_FIT)):
        return Refused(status, reason, message, None, what)
    if status == 500 and _NO_WEBHOOK in message:
        return WebhookUnavailable(status, reason, message, None, what)
    return Unavailable(status, reason, message, retry_after_seconds, what)
