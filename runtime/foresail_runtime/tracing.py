"""Where a request belongs: W3C trace context read, and spans sent to OpenTelemetry where an endpoint is set.

The SDK is imported only then: it takes longer to import than everything else. Spans are made when a request is
answered, and sent in batches on a thread of the SDK's; what its queue has no room for is dropped, not waited for.
"""

from __future__ import annotations

import logging
import os
import re
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from foresail_runtime import contract

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)

HEADER: Final = "traceparent"
ANSWER_HEADER: Final = "traceresponse"
_FORM: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
CLOSE_SECONDS: Final = 2.0
"""How long the end of a process waits for a receiver that is slow or away."""
_NANO: Final = 1_000_000_000


class Parent(NamedTuple):
    """The span that a request comes from."""

    trace_id: str
    span_id: str
    sampled: bool


def parse(header: str | None) -> Parent | None:
    """Read a `traceparent` as W3C's Trace Context has it; None if there is none that makes sense."""
    match = _FORM.fullmatch(header) if header else None
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == "ff" or (version == "00" and more) or not trace_id.strip("0") or not span_id.strip("0"):
        return None
    return Parent(trace_id, span_id, bool(int(flags, 16) & 1))


class Tracer:
    """Makes a span of each answered request."""

    def __init__(self, endpoint: str) -> None:
        """Send to `endpoint`/v1/traces; OpenTelemetry's other variables (OTEL_…) hold as its SDK has them.

        Raises:
            ImportError: The SDK is not installed.
        """
        from opentelemetry import trace  # noqa: PLC0415
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

        self._trace = trace
        named = {"service.name": os.environ.get("OTEL_SERVICE_NAME", "foresail")}
        pod = {"k8s.pod.name": contract.ENV_POD_NAME, "k8s.namespace.name": contract.ENV_POD_NAMESPACE}
        named |= {key: os.environ[variable] for key, variable in pod.items() if variable in os.environ}
        self._provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("foresail")

    def record(
        self, name: str, parent: Parent | None, seconds: float, attributes: Mapping[str, Any], *, failed: bool
    ) -> str:
        """Make a span that ends now; return what `traceresponse` says of it."""
        trace = self._trace
        context = None
        if parent is not None:
            flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if parent.sampled else trace.TraceFlags.DEFAULT)
            remote = trace.SpanContext(
                int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True, trace_flags=flags
            )
            context = trace.set_span_in_context(trace.NonRecordingSpan(remote))
        end = time.time_ns()
        span = self._tracer.start_span(
            name,
            context,
            kind=trace.SpanKind.SERVER,
            attributes=dict(attributes),
            start_time=end - round(seconds * _NANO),
        )
        if failed:
            span.set_status(trace.StatusCode.ERROR)
        span.end(end)
        made = span.get_span_context()
        return f"00-{made.trace_id:032x}-{made.span_id:016x}-{int(made.trace_flags):02x}"

    def close(self) -> None:
        """Send what is left; blocks for as long as the SDK has patience with the receiver."""
        self._provider.shutdown()


def make(endpoint: str | None) -> Tracer | None:
    """Return a tracer for that endpoint; None if there is none, or the SDK is not installed, which the log says."""
    if not endpoint:
        return None
    try:
        return Tracer(endpoint)
    except ImportError as error:
        log.warning("no spans are sent: install foresail[tracing]", extra={"fields": {"missing": str(error)}})
        return None
