"""How much is held at most, and what is held now."""

from __future__ import annotations

import dataclasses
from typing import Final

KIBIBYTE: Final = 1024


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one activator."""

    connections: int = 20_000
    """Open at a time, spliced ones and those that have not sent a byte included."""
    held: int = 4096
    """Waiting for a replica, of all models."""
    held_of_a_model: int = 1024
    held_bytes: int = 64 * KIBIBYTE * KIBIBYTE
    """Kept of all that wait; who comes when it is full is refused."""
    bytes_each: int = 64 * KIBIBYTE
    """No more is read of one that waits and has sent so many, but what came with the last of them (up to 256 KiB, the
    largest read of a loop); the rest stays with the client until it goes on."""
    hold_seconds: float = 120.0
    silence_seconds: float = 60.0
    """How long a connection may stay open without a byte."""
    unanswered_a_pod: int = 64
    """Handed on to one replica and without an answer yet: the others go to the replicas that come next."""
    connect_seconds: float = 2.0
    retry_seconds: float = 0.2
    """How long a replica that did not take a connection is left alone."""
    retry_after_seconds: int = 5
    linger_seconds: float = 2.0
    """How long a refused client may take to read why."""


@dataclasses.dataclass(slots=True)
class Held:
    """What waits now."""

    connections: int = 0
    requests: int = 0
    bytes: int = 0
