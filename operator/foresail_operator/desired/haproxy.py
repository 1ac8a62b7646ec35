"""What HAProxy is told in front of a model: its whole configuration, as text.

    clients ──> HAProxy ──the replica with the fewest requests, each its own share at most──> replicas
                  │  the others wait here, where the first replica that is free takes them
                  └──while it knows no replica──> the Service straight to them, and so to the activator

Replicas are found by the headless Service's DNS answer, asked for each second, and by a health check that each
replica answers: one that begins to end falls out within a second, before it takes no more connections. Nothing is
reloaded; slots are there for as many replicas as there may be.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from foresail_operator.desired import names, service
from foresail_runtime import contract

if TYPE_CHECKING:
    from foresail_operator.api.v1alpha1 import ModelDeployment

STATUS_PORT: Final = 8082
"""Probes, metrics for Prometheus, and what waits."""
READY_PATH: Final = "/readyz"
"""Answers 200 while there is somewhere to send a request."""
LIVE_PATH: Final = "/livez"
PROXIES: Final = 2
"""So that a node's end takes one of them only; each has all of the model's replicas."""
FEWEST_SLOTS: Final = 16
SHARE: Final = 16
"""Requests that a replica is given at once where no size of its batches is written: it finds work for its cores and
for a batch while the one before runs, and what is slow holds up few others."""
CLIENTS: Final = 4000
THREADS: Final = 2
"""HAProxy counts the node's cores, not what it may use of them; one carries 20,000 requests a second."""
IDLE_SECONDS: Final = 75
"""For a client's connection between two requests, as at a replica."""
STREAMS: Final = 1024
"""Calls at a time on one connection, as at a replica: most clients have one channel."""
_CONNECT_SECONDS: Final = 1
_BUSY_SECONDS: Final = 3
"""So long a replica may take to say that it is ready: one that is busy is not away."""
_TRIES: Final = 3
_LEFT_SECONDS: Final = 5
"""After a replica's own time limit: it answers that itself, in better words."""
_KNOWN_SECONDS: Final = 30
"""How long addresses are kept while no DNS server answers."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Side:
    """HTTP or gRPC: its port here and at a replica, and that of the Service behind which the activator is."""

    name: str
    port: int
    service_port: int
    protocol: str
    reuse: str
    """Of connections to replicas. Of calls that share one HAProxy 2.6 loses the end of some when a replica ends it for
    its age (about one in 1,000, apart one in 16,000); one for each call costs no time that could be measured."""


_HTTP: Final = _Side(contract.HTTP_PORT_NAME, contract.HTTP_PORT, service.HTTP_SERVICE_PORT, "h1", "always")
_GRPC: Final = _Side(contract.GRPC_PORT_NAME, contract.GRPC_PORT, contract.GRPC_PORT, "h2", "never")


_REFUSED: Final = "refused"
"""A table of one entry, whose counter counts the requests that were refused here: HAProxy's own are none to ask for."""
_BIND: Final = "bind :%d"
_BIND_BOTH: Final = "bind [::]:%d v4v6"


def _refusal(status: int, words: str) -> str:
    """Return an answer of our own; to a gRPC client either status says UNAVAILABLE."""
    return f'status {status} content-type application/json string \'{{"error":"{words}"}}\' hdr Retry-After 1'


def build(model: ModelDeployment, cluster_domain: str, *, hold_seconds: int = 0, ipv6: bool = False) -> str:
    """Return the configuration.

    `hold_seconds` is how long the activator holds a request, 0 where there is none. `ipv6` listens on addresses of both
    families, which takes a kernel that has IPv6.
    """
    domain = f"{model.metadata.namespace}.svc.{cluster_domain}"
    bind = _BIND_BOTH if ipv6 else _BIND
    sides = (_side(model, side, domain, bind, hold_seconds) for side in (_HTTP, _GRPC))
    return "\n".join((_whole(model, hold_seconds), _defaults(model), _resolvers(), *sides, _status(bind)))


def share(model: ModelDeployment) -> int:
    """Return how many requests a replica is given at once by each proxy: of a batch that runs and one that fills.

    Never more than it takes from all proxies together, which is one that runs and those that may wait: what is over
    that it would refuse, while here there is room and the next replica may be free.
    """
    size = model.spec.serving.batching.max_size
    taken = (1 + model.spec.serving.max_queue_size) // PROXIES
    return max(1, min(SHARE if size is None else 2 * size, taken))


def slots(model: ModelDeployment) -> int:
    """Return for how many replicas there is room: a power of two, so that a size seldom changes the configuration."""
    spec = model.spec
    most = spec.scaling.max_replicas if spec.scaling else spec.replicas or 1
    wanted = most + -(-most // 4) + 1  # those of a rollout beside the old ones
    return max(FEWEST_SLOTS, 1 << (wanted - 1).bit_length())


def finish_seconds(model: ModelDeployment) -> int:
    """Return how long a request may take here once a replica has it."""
    return int(-(-model.spec.serving.timeout_seconds // 1)) + _LEFT_SECONDS


def stay_seconds(model: ModelDeployment, hold_seconds: int) -> int:
    """Return how long a request may be here that the activator holds first."""
    return hold_seconds + finish_seconds(model)


def _whole(model: ModelDeployment, hold_seconds: int) -> str:
    return f"""\
# {model.metadata.name}, written by Foresail
global
    log stdout format raw daemon notice
    maxconn {CLIENTS}
    no strict-limits
    nbthread {THREADS}
    hard-stop-after {stay_seconds(model, hold_seconds)}s
    tune.h2.initial-window-size 1048576
    tune.h2.max-concurrent-streams {STREAMS}
"""


def _defaults(model: ModelDeployment) -> str:
    seconds = finish_seconds(model)
    # A request that a replica has not answered with a byte may be sent to another: to infer changes nothing.
    return f"""\
defaults
    mode http
    log global
    balance leastconn
    option redispatch 1
    option idle-close-on-response
    retries {_TRIES}
    retry-on conn-failure empty-response
    timeout connect {_CONNECT_SECONDS}s
    timeout check {_BUSY_SECONDS}s
    timeout http-request 10s
    timeout http-keep-alive {IDLE_SECONDS}s
    timeout client {max(seconds, IDLE_SECONDS)}s
    timeout server {seconds}s
    timeout queue {seconds}s
    http-error {_refusal(503, "no replica of this model can be reached")}
    http-error {_refusal(504, "no replica of this model answered in time")}
"""


def _resolvers() -> str:
    """Ask each second; an answer without an address counts at once, as the address may soon be another pod's."""
    return f"""\
resolvers cluster
    parse-resolv-conf
    accepted_payload_size 8192
    timeout resolve 1s
    timeout retry 1s
    hold valid 1s
    hold obsolete 0s
    hold nx 1s
    hold timeout {_KNOWN_SECONDS}s
    hold refused {_KNOWN_SECONDS}s
    hold other {_KNOWN_SECONDS}s
"""


def _side(model: ModelDeployment, side: _Side, domain: str, bind: str, hold_seconds: int) -> str:
    name = model.metadata.name
    pods, direct = f"{names.headless_service(name)}.{domain}", f"{names.direct_service(name)}.{domain}"
    # The model's own path tells that no other model's replica has got the address; with tokens only this one is open.
    path = contract.READY_PATH if model.spec.serving.auth else contract.model_ready_path(name)
    refusal = _refusal(429, "too many requests wait for this model: try again later")
    return f"""\
frontend {side.name}
    {bind % side.port} proto {side.protocol}
    default_backend {side.name}

backend {side.name}
    http-reuse {side.reuse}
    option httpchk
    http-check connect port {contract.HTTP_PORT} proto h1
    http-check send meth GET uri {path} ver HTTP/1.1 hdr Host {names.service(name)}
    acl full queue({side.name}) ge {model.spec.serving.max_queue_size}
    http-request track-sc0 int(1) table {_REFUSED} if full
    http-request sc-inc-gpc0(0) if full
    http-request return {refusal} if full
{_patience(model, side, hold_seconds)}\
    default-server proto {side.protocol} resolvers cluster resolve-prefer ipv4 init-addr none
    default-server inter 1s fastinter 500ms downinter 500ms fall 2 rise 1
    server-template pod {slots(model)} {pods}:{side.port} check maxconn {share(model)}
    server direct {direct}:{side.service_port} backup init-addr libc,none
"""


def _patience(model: ModelDeployment, side: _Side, hold_seconds: int) -> str:
    """Return the line that gives a request the activator's time where it may come there; none without an activator.

    nbsrv is 1 too while the way past the replicas is all there is. A lone replica's requests go there when it dies.
    """
    if not hold_seconds:
        return ""
    seconds = stay_seconds(model, hold_seconds)
    return f"    http-request set-timeout server {seconds}s if {{ nbsrv({side.name}) le 1 }}\n"


def _status(bind: str) -> str:
    """Answer probes, Prometheus, and the operator's question what is carried, in a replica's words."""
    refused = f"%[int(1),table_gpc0({_REFUSED})]"
    waiting = '"in_flight":0,"queued":%[queue(http),add(txn.grpc)],"load_seconds":0'
    load = f'{{"state":"ready",{waiting},"requests":{refused},"refused":{refused}}}'
    return f"""\
backend {_REFUSED}
    stick-table type integer size 1 store gpc0

frontend status
    {bind % STATUS_PORT}
    option dontlog-normal
    acl nowhere nbsrv({_HTTP.name}) eq 0
    http-request set-var(txn.grpc) queue({_GRPC.name})
    http-request return status 200 content-type application/json lf-string '{load}' if {{ path {contract.LOAD_PATH} }}
    http-request return status 503 content-type text/plain string 'no replica' if {{ path {READY_PATH} }} nowhere
    http-request return status 200 content-type text/plain string 'ok' if {{ path {READY_PATH} {LIVE_PATH} }}
    http-request use-service prometheus-exporter if {{ path {contract.METRICS_PATH} }}
    http-request return status 404
"""
