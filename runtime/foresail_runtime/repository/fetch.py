"""One call for a model's file, wherever it is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from foresail_runtime.repository import digest, locate, unpack

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from foresail_runtime.contract import ModelDescription


async def fetch(
    description: ModelDescription,
    folder: Path,
    progress: Callable[[int, int | None], None],
    *,
    say: Callable[[str | None, str], None] = lambda *_: None,
    checking: Callable[[], None] = lambda: None,
) -> Path:
    """Return the checked file of a model, downloaded to the folder, and unpacked there, if need be.

    `progress` is told how many bytes have come, and `say` why a download does not get on. `checking` is called before a
    mounted file is compared with its digest; what is downloaded is hashed on the way.

    Raises:
        ModelUnusable: It can't be had, or is not what the digest says.
    """
    if locate.is_remote(description):
        # Imported here: an HTTP client is no use to a model that is mounted.
        from foresail_runtime.repository import download  # noqa: PLC0415

        target = locate.download_target(description, folder)
        path = await download.download(description, target, progress, say=say)
    else:
        path = await asyncio.to_thread(_local, description)
        if description.digest is not None:
            checking()
            found = await asyncio.to_thread(digest.of_file, path)
            digest.check(found, description)
    return await asyncio.to_thread(_unpacked, path, description, folder)


def _unpacked(path: Path, description: ModelDescription, folder: Path) -> Path:
    if not unpack.is_archive(path):
        return path
    target = locate.unpack_target(description, folder)
    unpack.unpack(path, target, description.size_limit_bytes)
    return locate.find_unpacked(target)


def _local(description: ModelDescription) -> Path:
    path = locate.find_local(description)
    digest.check_size(path.stat().st_size, description)
    return path
