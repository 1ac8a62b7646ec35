"""Which descriptions are no longer wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Set


def descriptions(there: Iterable[str], wanted: Set[str], mounted: Set[str], *, complete: bool) -> tuple[str, ...]:
    """Return the ConfigMaps to delete: only once no replica of an older revision is left that might start again.

    `mounted` are those that some pod still mounts, `complete` says that the rollout has ended.
    """
    if not complete:
        return ()
    return tuple(name for name in there if name not in wanted and name not in mounted)
