"""The activator's settings, read from the environment once."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

from foresail_activator.limits import Limits
from foresail_operator import sockets
from foresail_operator.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

HELP: Final = {
    "FORESAIL_NAMESPACES": "namespaces whose models are held for, with commas between; empty: all",
    "FORESAIL_POD_NAMESPACE": "where the ConfigMap of wishes is",
    "FORESAIL_WAKE_NAME": "that ConfigMap's name",
    "FORESAIL_HTTP_HOST": "address of /healthz, /readyz and /metrics; the models' ports are on all addresses",
    "FORESAIL_HTTP_PORT": "their port",
    "FORESAIL_HELD": "most requests that wait, of all models",
    "FORESAIL_HELD_OF_A_MODEL": "most requests that wait for one model",
    "FORESAIL_HELD_BYTES": "most bytes kept of them",
    "FORESAIL_HOLD_SECONDS": "longest wait",
    "FORESAIL_DRAIN_SECONDS": "how long a stopping activator still takes connections",
    "FORESAIL_GRACE_SECONDS": "how long it then lets those that are there finish",
    "FORESAIL_LOG_LEVEL": "one of DEBUG, INFO, WARNING, ERROR",
    "KUBECONFIG": "the way to the API server outside a cluster",
}
"""What `foresail-activator --help` prints."""
_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """Everything that differs between installations."""

    namespaces: tuple[str, ...] = ()
    pod_namespace: str = "default"
    wake_name: str = "foresail-wake"
    http_host: str = sockets.EVERYWHERE  # probes come from the node, metrics from anywhere
    http_port: int = 8080
    drain_seconds: int = 5
    grace_seconds: int = 20
    log_level: str = "INFO"
    limits: Limits = dataclasses.field(default_factory=Limits)


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Read the settings; an empty variable counts as absent.

    Raises:
        SettingsError: A variable has a value that can't be used.
    """
    given = {name: environment[name].strip() for name in HELP if environment.get(name, "").strip()}
    level = given.get("FORESAIL_LOG_LEVEL", "INFO").upper()
    if level not in _LEVELS:
        raise SettingsError(f"FORESAIL_LOG_LEVEL is {level!r}: write one of {', '.join(_LEVELS)}")
    default, limits = Settings(), Limits()
    return Settings(
        namespaces=tuple(one.strip() for one in given.get("FORESAIL_NAMESPACES", "").split(",") if one.strip()),
        pod_namespace=given.get("FORESAIL_POD_NAMESPACE", default.pod_namespace),
        wake_name=given.get("FORESAIL_WAKE_NAME", default.wake_name),
        http_host=given.get("FORESAIL_HTTP_HOST", default.http_host),
        http_port=_number(given, "FORESAIL_HTTP_PORT", default.http_port, 65535),
        drain_seconds=_number(given, "FORESAIL_DRAIN_SECONDS", default.drain_seconds, 600),
        grace_seconds=_number(given, "FORESAIL_GRACE_SECONDS", default.grace_seconds, 3600),
        log_level=level,
        limits=dataclasses.replace(
            limits,
            held=_number(given, "FORESAIL_HELD", limits.held, 100_000),
            held_of_a_model=_number(given, "FORESAIL_HELD_OF_A_MODEL", limits.held_of_a_model, 100_000),
            held_bytes=_number(given, "FORESAIL_HELD_BYTES", limits.held_bytes, 2**34),
            hold_seconds=_number(given, "FORESAIL_HOLD_SECONDS", int(limits.hold_seconds), 3600),
        ),
    )


def _number(given: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = given.get(name, str(default))
    if not text.isdecimal() or int(text) > most:
        raise SettingsError(f"{name} is {text!r}: write a whole number from 0 to {most}")
    return int(text)
