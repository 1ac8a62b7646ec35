"""What can be set from outside: environment variables, read once at the start, and the command line over them.

The names of variables that the operator writes are in `contract`; the others are here and in docs/runtime.md.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

from foresail_runtime import contract

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


POD_CONNECTION_SECONDS: Final = 2.0
"""Each end is another throw of the dice for a client: with five of them in ten seconds 64 clients give 4 replicas parts
as even as 320 would. And a stopping gRPC server waits for so long until callers have left (docs/decisions/0010)."""


MAX_BODY_BYTES: Final = 64 * 2**20
MAX_QUEUE_BYTES: Final = 256 * 2**20
MAX_HELD_BYTES: Final = 512 * 2**20
MAX_PARSED_BYTES: Final = 2**30


class SettingError(ValueError):
    """A variable has a value that can't be read; the message names it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """Everything the runtime can be told, except which model to serve."""

    host: str = ""
    """Every address of the pod, of both families where it has both; `foresail serve` on a laptop passes 127.0.0.1."""
    http_port: int = contract.HTTP_PORT
    grpc_port: int | None = contract.GRPC_PORT
    """None: no gRPC."""
    drain_seconds: float = 0.0
    """How long a stopping server keeps accepting connections after it has said it is not ready."""
    shutdown_seconds: float | None = None
    """How long requests in flight may take to finish once no new connection is accepted; None: as long as any may."""
    max_body_bytes: int = MAX_BODY_BYTES
    """Of a request, also after decompression."""
    max_queue_bytes: int = MAX_QUEUE_BYTES
    """Of all requests that wait."""
    max_held_bytes: int = MAX_HELD_BYTES
    """Of all requests that are being received or answered; who comes over it is refused before the body is read."""
    max_parsed_bytes: int = MAX_PARSED_BYTES
    """What one request may take while its JSON, or its gRPC message, is read; large ones are read one by one."""
    max_pixels: int = 50_000_000
    """Of a picture, looked at before it is decoded."""
    header_timeout_seconds: float = 10.0
    """For the headers of a request, from its first byte or from the connection's start."""
    body_timeout_seconds: float = 60.0
    keepalive_seconds: float = 75.0
    """For a connection between two requests."""
    connection_seconds: float | None = None
    """A connection is ended politely after this time, give or take a little, so that load spreads evenly; None: see
    `connection_age_seconds`."""
    max_connections: int = 4096
    overload_status: int = 429
    """What a full queue answers; 503 for clients and proxies that know only this one."""
    hang_seconds: float = 30.0
    """A run that takes longer than this, and ten times longer than usual, ends the process; 0: never."""
    allowed_origins: tuple[str, ...] = ()
    """Web pages that may call this server from a browser (`https://example.test`); `*`: any."""
    tls_cert: str | None = None
    """File with the server's certificate and chain; None: no TLS."""
    tls_key: str | None = None
    tls_ca: str | None = None
    """File with the authorities whose client certificates are taken, and then asked for; None: none are."""
    tokens: str | None = None
    """File with the bearer tokens that open the server, one a line; None: it is open."""
    reload_seconds: float = 1.0
    """How often those files are looked at."""
    repository_tokens: str | None = None
    """File with the tokens that let a caller load and unload the models of a folder; None: nobody may."""
    poll_seconds: float = 0.0
    """How often a folder of models is looked at for changes; 0: never."""
    load_timeout_seconds: float = 600.0
    """Loading a model beside those that are served is given up after this time."""
    threads: int | None = None
    """Threads of one run; None: the CPU limit."""
    allow_fallback: bool = False
    """Accept another execution provider than the one wished for."""
    triton_metrics: bool = False
    """Also count under Triton's names (`nv_inference_…`), for dashboards that know those."""
    drift_reference: str | None = None
    """A file of `foresail reference`; None: the one beside the model, if there is one."""
    drift_window_seconds: float = 3600.0
    drift_cost: float = 0.01
    """The share of the time that sampling for drift may take."""
    access_log: bool = False
    traces_endpoint: str | None = None
    """Where spans are sent, by OTLP over HTTP; None: none are made."""
    log_format: str = "text"
    """text or json."""
    log_level: str = "INFO"
    download_folder: str = contract.DOWNLOAD_FOLDER
    termination_path: str | None = None
    """Where the reason of a failed start is left; None: nowhere (a laptop)."""

    @property
    def connection_age_seconds(self) -> float | None:
        """How old connections get, HTTP's and gRPC's: in a pod, where a Service leads clients elsewhere, not old."""
        if self.connection_seconds is None and self.drain_seconds > 0:
            return POD_CONNECTION_SECONDS
        return self.connection_seconds


def read(environment: Mapping[str, str], memory_bytes: int | None = None) -> Settings:
    """Return the settings that the variables make.

    `memory_bytes` is the limit of the container, if it has one: what may be held is by default a share of it.

    Raises:
        SettingError: One of them has no sense.
    """
    values = {} if memory_bytes is None else _shares(memory_bytes)
    for variable, (field, parse) in VARIABLES.items():
        text = environment.get(variable, "")
        if not text:
            continue
        try:
            values[field] = parse(text)
        except ValueError as error:
            raise SettingError(f"{variable}={text!r} can't be read: {error}") from error
    _check_tls(values)
    return Settings(**values)


def _shares(memory_bytes: int) -> dict[str, Any]:
    """Return bounds with which a model, and what is made of the bodies, have room beside them."""
    return {
        "max_body_bytes": min(MAX_BODY_BYTES, memory_bytes // 16),
        "max_queue_bytes": min(MAX_QUEUE_BYTES, memory_bytes // 8),
        "max_held_bytes": min(MAX_HELD_BYTES, memory_bytes // 4),
        "max_parsed_bytes": min(MAX_PARSED_BYTES, memory_bytes // 2),
    }


def _check_tls(values: Mapping[str, Any]) -> None:
    if ("tls_cert" in values) != ("tls_key" in values):
        raise SettingError(
            f"{contract.ENV_TLS_CERT} and {contract.ENV_TLS_KEY} belong together: set both (--tls-cert, --tls-key)"
        )
    if "tls_ca" in values and "tls_cert" not in values:
        raise SettingError(f"{contract.ENV_TLS_CA} needs {contract.ENV_TLS_CERT} and {contract.ENV_TLS_KEY}, too")


def _number(least: float, most: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        number = float(text)
        if not least <= number <= most:
            raise ValueError(f"it has to be from {least:g} to {most:g}")
        return number

    return parse


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        number = int(text)
        if not least <= number <= most:
            raise ValueError(f"it has to be a whole number from {least} to {most}")
        return number

    return parse


def _boolean(text: str) -> bool:
    if text.lower() not in ("0", "1", "true", "false", "yes", "no"):
        raise ValueError("it has to be 1 or 0")
    return text.lower() in ("1", "true", "yes")


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"it has to be one of {', '.join(words)}")
        return text

    return parse


def _status(text: str) -> int:
    return int(_one_of("429", "503")(text))


def _grpc_port(text: str) -> int | None:
    return None if text == "off" else _whole(0, 65535)(text)


def _poll(text: str) -> float:
    return 0.0 if text == "0" else _number(0.1, 3600)(text)


VARIABLES: dict[str, tuple[str, Callable[[str], Any]]] = {
    contract.ENV_DRAIN_SECONDS: ("drain_seconds", _number(0, 3600)),
    contract.ENV_CPU_LIMIT: ("threads", _whole(1, 1024)),
    contract.ENV_TLS_CERT: ("tls_cert", str),
    contract.ENV_TLS_KEY: ("tls_key", str),
    contract.ENV_TLS_CA: ("tls_ca", str),
    contract.ENV_TOKENS: ("tokens", str),
    "FORESAIL_REPOSITORY_TOKENS": ("repository_tokens", str),
    "FORESAIL_POLL_SECONDS": ("poll_seconds", _poll),
    "FORESAIL_LOAD_TIMEOUT_SECONDS": ("load_timeout_seconds", _number(1, 86_400)),
    "FORESAIL_RELOAD_SECONDS": ("reload_seconds", _number(0.01, 3600)),
    "FORESAIL_HOST": ("host", str),
    "FORESAIL_HTTP_PORT": ("http_port", _whole(0, 65535)),
    "FORESAIL_GRPC_PORT": ("grpc_port", _grpc_port),
    "FORESAIL_SHUTDOWN_SECONDS": ("shutdown_seconds", _number(0, 3600)),
    "FORESAIL_MAX_BODY_BYTES": ("max_body_bytes", _whole(1, 2**34)),
    "FORESAIL_MAX_QUEUE_BYTES": ("max_queue_bytes", _whole(1, 2**40)),
    "FORESAIL_MAX_HELD_BYTES": ("max_held_bytes", _whole(1, 2**40)),
    "FORESAIL_MAX_PARSED_BYTES": ("max_parsed_bytes", _whole(1, 2**40)),
    "FORESAIL_MAX_PIXELS": ("max_pixels", _whole(1, 2**31)),
    "FORESAIL_HEADER_TIMEOUT_SECONDS": ("header_timeout_seconds", _number(0.1, 3600)),
    "FORESAIL_BODY_TIMEOUT_SECONDS": ("body_timeout_seconds", _number(0.1, 3600)),
    "FORESAIL_KEEPALIVE_SECONDS": ("keepalive_seconds", _number(1, 3600)),
    "FORESAIL_CONNECTION_SECONDS": ("connection_seconds", _number(0.01, 10**9)),
    "FORESAIL_HANG_SECONDS": ("hang_seconds", _number(0, 10**9)),
    "FORESAIL_MAX_CONNECTIONS": ("max_connections", _whole(1, 2**20)),
    "FORESAIL_OVERLOAD_STATUS": ("overload_status", _status),
    "FORESAIL_ALLOWED_ORIGINS": ("allowed_origins", _list),
    "FORESAIL_ALLOW_FALLBACK": ("allow_fallback", _boolean),
    "FORESAIL_TRITON_METRICS": ("triton_metrics", _boolean),
    "FORESAIL_DRIFT_REFERENCE": ("drift_reference", str),
    "FORESAIL_DRIFT_WINDOW_SECONDS": ("drift_window_seconds", _number(1, 10**7)),
    "FORESAIL_DRIFT_COST": ("drift_cost", _number(0.0001, 1)),
    "OTEL_EXPORTER_OTLP_ENDPOINT": ("traces_endpoint", str),
    contract.ENV_ACCESS_LOG: ("access_log", _boolean),
    "FORESAIL_LOG_FORMAT": ("log_format", _one_of("text", "json")),
    "FORESAIL_LOG_LEVEL": ("log_level", _one_of("DEBUG", "INFO", "WARNING", "ERROR")),
    "FORESAIL_DOWNLOAD_FOLDER": ("download_folder", str),
    "FORESAIL_TERMINATION_PATH": ("termination_path", str),
}
