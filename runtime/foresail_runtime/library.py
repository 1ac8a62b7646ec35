"""The models of a folder while the server runs: what is there, what is served, and how one becomes the other.

```
 a version in the folder ──> LOADING (beside what is served) ──> READY ──> UNLOADING (answers what it has) ──> gone
                                └ fails: UNAVAILABLE with the reason; what was served goes on
```
One change is made at a time, in a task of its own: a caller who hangs up does not leave it half done. A poll takes up
a version once two looks in a row found the same files, so that one that is being copied is not read too early; what
failed is tried again when its files change, or when somebody asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final

from foresail_runtime import errors, loading, logs, repository, serving
from foresail_runtime.repository import folder, layout
from foresail_runtime.repository.layout import Entry, Names

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from pathlib import Path

    from foresail_runtime.contract import ModelDescription
    from foresail_runtime.model import Model
    from foresail_runtime.repository.config import Config
    from foresail_runtime.repository.folder import Fingerprint, Listing
    from foresail_runtime.serving import Serving
    from foresail_runtime.settings import Settings

    Loader = Callable[[ModelDescription], Awaitable[Model]]

log = logging.getLogger(__name__)

READY: Final = "READY"
UNAVAILABLE: Final = "UNAVAILABLE"
LOADING: Final = "LOADING"
UNLOADING: Final = "UNLOADING"
UNLOADED: Final = "unloaded"
_RESERVE_SECONDS: Final = 2.0
"""For the answers of requests that ended at their deadline to be written."""


class Library:
    """The folder's models, kept in step with the folder; on the event loop's thread."""

    def __init__(self, root: Path, door: Serving, load: Loader, load_timeout_seconds: float) -> None:
        self._root = root
        self._door = door
        self._load = load
        self._load_timeout_seconds = load_timeout_seconds
        self._entries: dict[tuple[str, str], Entry] = {}
        self._served: dict[tuple[str, str], tuple[Model, Fingerprint]] = {}
        self._failed: dict[tuple[str, str], Fingerprint] = {}
        self._names: dict[str, tuple[Names, Names]] = {}
        """By model: the names that its settings ask for, and those that it goes by."""
        self._unloaded: set[str] = set()
        """Models that were unloaded by a call: polling leaves them alone until they are loaded by one."""
        self._seen: dict[str, Listing] = {}
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def index(self) -> list[Entry]:
        """Return every version that is known, and how it is."""
        return sorted(self._entries.values(), key=lambda entry: (entry.name, layout.order(entry.version)))

    async def start(self) -> None:
        """Load what the folder holds; one bad model does not keep the others from being served.

        Raises:
            ModelUnusable: The folder can't be read, or none of its models can be served.
        """
        found = await asyncio.to_thread(folder.look, self._root)
        self._seen = found
        for name in found:
            self._door.expect(name)
        async with self._lock:
            for name in found:
                await self._update(name, found[name])
        if found and not self._served:
            reasons = "; ".join(f"{entry.name}: {entry.reason}" for entry in self.index() if entry.reason)
            raise errors.ModelUnusable("ModelInvalid", f"no model of {self._root} can be served: {reasons}")

    async def load(self, name: str) -> None:
        """Serve what the model's folder holds now.

        Raises:
            NotFound: The folder has no such model.
            InvalidRequest: It can't be served, or one of its versions can't; what was served still is.
        """
        await self._alone(self._load_now(name))

    async def unload(self, name: str) -> None:
        """Serve a model no more, once its requests are answered.

        Raises:
            NotFound: There is no such model.
        """
        await self._alone(self._unload_now(name))

    async def watch(self, pause: Callable[[], Awaitable[None]]) -> None:
        """Look at the folder for ever, with a pause before each look."""
        while True:
            await pause()
            try:
                await self.look()
            except errors.ModelUnusable as failure:
                log.warning("the models stay as they are", extra=logs.fields(problem=failure.message))
            except Exception:
                log.exception("looking at the folder failed; the models stay as they are")

    async def look(self) -> None:
        """Take up what changed in the folder and has settled, and let go of what is no longer there."""
        found = await asyncio.to_thread(folder.look, self._root)
        before, self._seen = self._seen, found
        for name in sorted({*found, *(name for name, _ in self._entries)}):
            if name in self._unloaded or found.get(name) != before.get(name):
                continue
            if name in found:
                await self._alone(self._update(name, found[name]))
            else:
                await self._alone(self._unload_now(name, forget=True))

    async def close(self) -> None:
        """End what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _alone(self, work: Coroutine[None, None, None]) -> None:
        async def wait_and_work() -> None:
            async with self._lock:
                await work

        task = asyncio.create_task(wait_and_work(), name="repository")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.shield(task)

    async def _load_now(self, name: str) -> None:
        found = await asyncio.to_thread(folder.look, self._root)
        if name not in found:
            known = ", ".join(map(repr, found)) or "none"
            raise errors.NotFound(f"the repository has no model {name!r}; it has {known}")
        self._unloaded.discard(name)
        for key in [key for key in self._failed if key[0] == name]:
            del self._failed[key]
        await self._update(name, found[name])
        failed = [entry for entry in self.index() if entry.name == name and entry.reason]
        if failed:
            version = f" version {failed[-1].version!r}" if failed[-1].version else ""
            raise errors.InvalidRequest(f"model {name!r}{version} was not loaded: {failed[-1].reason}")
        if stay := self._behind(name):
            told = ", ".join(f"{_word(word)} still means version {version!r}" for word, version in stay.items())
            raise errors.InvalidRequest(f"model {name!r}: {told}, as the one that its settings name is not served")

    async def _unload_now(self, name: str, *, forget: bool = False) -> None:
        keys = [key for key in self._entries if key[0] == name]
        if not keys:
            raise errors.NotFound(f"there is no model {name!r} to unload")
        if not forget:
            self._unloaded.add(name)
        self._door.expect(name, serving.UNLOADED)
        await self._retire([key for key in self._served if key[0] == name])
        self._names.pop(name, None)
        for key in keys:
            self._failed.pop(key, None)
            if forget:
                self._entries.pop(key, None)
            else:
                self._entries[key] = Entry(*key, UNAVAILABLE, UNLOADED)
        if forget:
            self._door.forget(name)

    async def _update(self, name: str, listing: Listing) -> None:
        """Serve the versions that the listing wants; the new ones first, so that there is always one."""
        if listing.config is None:
            self._fail((name, ""), (), listing.problem)
            return
        self._entries.pop((name, ""), None)
        config, wanted = listing.config, listing.wanted()
        known = self._names.get(name)
        self._move(name, config.names)
        good = [version for version in wanted if await self._take(name, version, listing, config)]
        stay = self._behind(name)
        if stay and self._names[name] != known:
            told = ", ".join(f"{_word(word)}: {version}" for word, version in stay.items())
            log.warning("words of a model did not move", extra=logs.fields(model=name, words=told))
        # Where every new version failed, the old one stays though it is not wanted any more: it is all there is.
        if good or not wanted:
            kept = {*wanted, *stay.values()} if wanted else set()
            await self._retire([key for key in self._served if key[0] == name and key[1] not in kept])
        for key in [key for key in self._entries if key[0] == name and key not in self._served]:
            if key[1] not in wanted:
                del self._entries[key]
                self._failed.pop(key, None)
        if not wanted:
            words = "it has no version that its settings ask for" if listing.versions else "it has no version"
            self._fail((name, ""), (), f"{words}: a model lies in {name}/1/model.onnx")

    def _move(self, name: str, wanted: Names) -> None:
        """Let a model's labels and its default mean what they are to mean, as far as that is served."""
        _, before = self._names.get(name, (None, None))
        names = layout.move(before, wanted, self._door.versions(name))
        self._names[name] = (wanted, names)
        self._door.rename(name, names)

    def _behind(self, name: str) -> dict[str, str]:
        """Return the words that mean an older version than its settings ask for, with that version."""
        wanted, names = self._names.get(name, (Names(), Names()))
        return layout.behind(names, wanted)

    async def _take(self, name: str, version: str, listing: Listing, config: Config) -> bool:
        """Load a version if it is new or changed; False if that failed, now or before."""
        key, (path, mark) = (name, version), listing.versions[version]
        if key in self._served and self._served[key][1] == mark:
            self._entries[key] = Entry(*key, READY)
            return True
        if self._failed.get(key) == mark:
            return False
        self._entries[key] = Entry(*key, LOADING)
        try:
            model = await self._open(name, version, path, config)
        except errors.ModelUnusable as failure:
            self._fail(key, mark, failure.message)
            return False
        except BaseException:
            self._entries[key] = Entry(*key, UNAVAILABLE, "loading it was broken off")
            raise
        self._failed.pop(key, None)
        before = self._door.add(model)
        self._served[key] = (model, mark)
        self._move(name, config.names)
        self._entries[key] = Entry(*key, READY)
        if before is not None:
            await self._door.retire(before, before.timeout_seconds + _RESERVE_SECONDS)
        return True

    async def _open(self, name: str, version: str, path: Path, config: Config) -> Model:
        with repository.reading():
            file = await asyncio.to_thread(folder.find_file, path, config.file)
        description = config.describe(name, version, str(file))
        watch = contextlib.nullcontext() if self._door.board is None else self._door.board.names(name)
        try:
            with watch:
                async with asyncio.timeout(self._load_timeout_seconds):
                    return await self._load(description)
        except TimeoutError as error:
            raise errors.ModelUnusable(
                "WarmupFailed", f"it was not loaded and warm within {self._load_timeout_seconds:g} s"
            ) from error

    def _fail(self, key: tuple[str, str], mark: Fingerprint, reason: str) -> None:
        name, version = key
        kept = key in self._served
        self._failed[key] = mark
        known = self._entries.get(key)
        self._entries[key] = Entry(name, version, READY if kept else UNAVAILABLE, reason)
        if known is None or known.reason != reason:
            fields = logs.fields(
                model=name, version=version or None, reason=reason, kept="the one before" if kept else None
            )
            log.error("a model was not loaded", extra=fields)
        if not self._door.versions(name):
            self._door.expect(name, reason)

    async def _retire(self, keys: list[tuple[str, str]]) -> None:
        for key in keys:
            self._entries[key] = Entry(*key, UNLOADING)
        await asyncio.gather(*[self._retire_one(key) for key in keys])

    async def _retire_one(self, key: tuple[str, str]) -> None:
        model, _ = self._served.pop(key)
        await self._door.retire(model, model.timeout_seconds + _RESERVE_SECONDS)
        self._entries.pop(key, None)
        log.info("model unloaded", extra=logs.fields(model=key[0], version=key[1]))


def _word(word: str) -> str:
    return f"label {word!r}" if word else "the default"


def make(root: Path, door: Serving, settings: Settings) -> Library:
    """Return the library of a folder, whose models are loaded with the server's settings."""

    async def load(description: ModelDescription) -> Model:
        return await loading.load(description, settings, door)

    return Library(root, door, load, settings.load_timeout_seconds)
