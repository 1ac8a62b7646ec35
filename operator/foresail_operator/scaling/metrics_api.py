"""The metrics API server: custom.metrics.k8s.io and external.metrics.k8s.io over TLS, for the aggregator alone.

    GET /apis/custom.metrics.k8s.io/v1beta2/namespaces/NS/modeldeployments.foresail.dev/NAME/METRIC
    GET /apis/external.metrics.k8s.io/v1beta1/namespaces/NS/foresail_METRIC?labelSelector=foresail.dev/model=NAME

NAME `*` with a labelSelector asks for several. A number that is not known is an error, never a zero: the HPA then
stands still. Every replica answers from what it has seen itself.
"""

from __future__ import annotations

import dataclasses
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final, Protocol

from aiohttp import web

from foresail_operator import trust
from foresail_operator.scaling import documents, selectors
from foresail_operator.scaling.documents import Value

if TYPE_CHECKING:
    from foresail_operator.scaling.front_proxy import FrontProxy
    from foresail_operator.scaling.signal import Kind

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_RETRY_SECONDS: Final = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Described:
    """A model that the API can be asked about."""

    namespace: str
    name: str
    labels: Mapping[str, str]
    """The ModelDeployment's own, which a labelSelector selects by."""
    metric_labels: Mapping[str, str]
    """Those of its external metrics."""
    kinds: frozenset[Kind]
    """What it scales on; nothing else is counted."""


class Source(Protocol):
    """Where the numbers come from."""

    def models(self, namespace: str) -> Iterable[Described]:
        """Return the models of a namespace."""

    def number(self, namespace: str, name: str, kind: Kind) -> float | None:
        """Return what is served for a model now; None when it is unknown."""


class _Failure(Exception):  # noqa: N818  # an answer
    """An answer that is no success."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message


class MetricsApi:
    """The routes. `timestamp` gives the present as RFC 3339; `trusted` who may ask, None while that is unknown."""

    def __init__(self, source: Source, timestamp: Callable[[], str], trusted: Callable[[], FrontProxy | None]) -> None:
        self._source = source
        self._timestamp = timestamp
        self._trusted = trusted

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        app = web.Application(middlewares=[self._guard])
        for group, versions in documents.VERSIONS.items():
            app.router.add_get(f"/apis/{group}", self._discover(documents.group(group)))
            for version in versions:
                app.router.add_get(f"/apis/{group}/{version}", self._discover(documents.resources(group, version)))
        for version in documents.CUSTOM_VERSIONS:
            root = f"/apis/{documents.CUSTOM_GROUP}/{version}/namespaces/{{namespace}}"
            app.router.add_get(f"{root}/{documents.RESOURCE}/{{name}}/{{metric}}", self._custom)
        version = documents.EXTERNAL_VERSIONS[0]
        app.router.add_get(
            f"/apis/{documents.EXTERNAL_GROUP}/{version}/namespaces/{{namespace}}/{{metric}}", self._external
        )
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let the aggregator in, and put every failure into a Status."""
        try:
            self._admit(request)
            return await handler(request)
        except _Failure as failure:
            answer = web.json_response(
                documents.status(failure.code, failure.reason, failure.message), status=failure.code
            )
            if failure.code == 503:
                answer.headers["Retry-After"] = str(_RETRY_SECONDS)
            return answer
        except web.HTTPMethodNotAllowed as error:
            message = "the metrics API can only be read"
            body = documents.status(405, "MethodNotAllowed", message)
            return web.json_response(body, status=405, headers={"Allow": error.headers["Allow"]})
        except web.HTTPNotFound:
            message = "the server could not find the requested resource"
            return web.json_response(documents.status(404, "NotFound", message), status=404)

    def _admit(self, request: web.Request) -> None:
        proxy = self._trusted()
        certificate = request.transport.get_extra_info("peercert") if request.transport else None
        if proxy is None or not proxy.admits(certificate):
            raise _Failure(401, "Unauthorized", "only the API server's aggregator may ask: ask it, kubectl get --raw")

    @staticmethod
    def _discover(document: documents.Document) -> Handler:
        async def answer(_request: web.Request) -> web.StreamResponse:
            return web.json_response(document)

        return answer

    async def _custom(self, request: web.Request) -> web.StreamResponse:
        values = request.match_info
        namespace, name, metric = values["namespace"], values["name"], values["metric"]
        kind = documents.KINDS.get(metric)
        if kind is None or metric.startswith(documents.EXTERNAL_PREFIX):
            raise _missing(metric, namespace, name)
        if _selector(request, "metricLabelSelector").requirements:
            raise _missing(metric, namespace, name, " with that selector: it has no labels")
        models = self._asked(namespace, name, _selector(request, "labelSelector"))
        asked = [model for model in models if kind in model.kinds]
        if models and not asked:
            raise _missing(metric, namespace, name, _not_scaled_on(models))
        known = [value for model in asked if (value := self._value(model, kind)) is not None]
        if not known and name != "*":
            raise _unknown(metric, namespace, name)
        version = request.path.split("/")[3]
        return web.json_response(documents.custom_values(version, known))

    async def _external(self, request: web.Request) -> web.StreamResponse:
        namespace, metric = request.match_info["namespace"], request.match_info["metric"]
        kind = documents.KINDS.get(metric)
        if kind is None or not metric.startswith(documents.EXTERNAL_PREFIX):
            raise _missing(metric, namespace, "*")
        selector = _selector(request, "labelSelector")
        models = [model for model in self._source.models(namespace) if selector.matches(model.metric_labels)]
        if not models:
            raise _missing(metric, namespace, "*", " with that selector")
        asked = [model for model in models if kind in model.kinds]
        if not asked:
            raise _missing(metric, namespace, "*", _not_scaled_on(models))
        values = [self._value(model, kind) for model in asked]
        if None in values:  # the HPA adds them up: a part would be a wrong sum
            raise _unknown(metric, namespace, "*")
        return web.json_response(documents.external_values(value for value in values if value is not None))

    def _asked(self, namespace: str, name: str, selector: selectors.Selector) -> list[Described]:
        models = self._source.models(namespace)
        if name == "*":
            return [model for model in models if selector.matches(model.labels)]
        found = [model for model in models if model.name == name]
        if not found:
            raise _Failure(404, "NotFound", f'{documents.RESOURCE} "{name}" not found in namespace "{namespace}"')
        return found

    def _value(self, model: Described, kind: Kind) -> Value | None:
        number = self._source.number(model.namespace, model.name, kind)
        if number is None:
            return None
        return Value(model.namespace, model.name, kind, number, self._timestamp(), model.metric_labels)


def server_context(certificate_file: str, key_file: str, proxy: FrontProxy) -> ssl.SSLContext:
    """Return the TLS side: our certificate, and the aggregator's asked for.

    A client without a certificate gets as far as a 401, as the conventions have it; one with a foreign certificate
    fails the handshake.
    """
    context = trust.as_kubernetes_does(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=proxy.ca_pem))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate_file, key_file)
    return context


def _selector(request: web.Request, name: str) -> selectors.Selector:
    try:
        return selectors.parse(request.query.get(name, ""))
    except selectors.SelectorError as error:
        raise _Failure(400, "BadRequest", f"{name}: {error}") from error


def _missing(metric: str, namespace: str, name: str, why: str = "") -> _Failure:
    message = f"the server could not find the metric {metric} for {documents.RESOURCE} {name} in {namespace}{why}"
    return _Failure(404, "NotFound", message)


def _not_scaled_on(models: Iterable[Described]) -> str:
    """Return what to add about models that scale on something else."""
    kinds = sorted({documents.NAMES[kind] for model in models for kind in model.kinds})
    return f": spec.scaling.metrics has {', '.join(kinds) or 'nothing that is read here'}"


def _unknown(metric: str, namespace: str, name: str) -> _Failure:
    message = f"{metric} of {documents.RESOURCE} {name} in {namespace} is not known: no pod answered lately"
    return _Failure(503, "ServiceUnavailable", message)
