"""A thin client of the Kubernetes API: dicts in, dicts out, one kept session, our errors.

The official client's typed models cost more time per object than all else the operator does, and server-side
apply wants exactly the fields we mean, so manifests travel as they are.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson

from foresail_operator import errors
from foresail_operator.desired import meta

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    from foresail_operator.api.kinds import Kind, Manifest
    from foresail_operator.metrics import Metrics

_TIMEOUT: Final = aiohttp.ClientTimeout(total=15, sock_connect=5)
_APPLY: Final = "application/apply-patch+yaml"  # JSON is YAML
_MERGE: Final = "application/merge-patch+json"
_JSON: Final = "application/json"
_METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_CHUNK: Final = 100
"""Objects a page: a larger one costs memory that is never given back."""
_WATCH_SECONDS: Final = 20
"""The server ends a stream after this, and just before says how far it has got: so a stream that is quiet because
nothing happens goes on from a version that is never too old."""
_WATCH_TIMEOUT: Final = aiohttp.ClientTimeout(sock_connect=5, sock_read=_WATCH_SECONDS + 5)
"""A stream without a byte for this long is dead."""
NOBODY: Final = "1"
"""A resourceVersion that no object has: an apply with it creates, and conflicts where something is already."""


class Kube:
    """Requests to the API server.

    Every write asks `fence` first, which raises when we do not lead, and returns for how many seconds we do: a write is
    given up after that. None: for as long as it takes.
    """

    def __init__(self, session: aiohttp.ClientSession, metrics: Metrics, fence: Callable[[], float | None]) -> None:
        self._session = session
        self._metrics = metrics
        self._fence = fence

    async def create_by_apply(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Apply an object that must not exist yet; Conflict when it does, whoever made it."""
        return await self._apply(kind, manifest, {"resourceVersion": NOBODY}, manager=meta.FIELD_MANAGER)

    async def apply(
        self,
        kind: Kind,
        manifest: Manifest,
        uid: str,
        *,
        manager: str = meta.FIELD_MANAGER,
        subresource: str | None = None,
    ) -> Manifest:
        """Apply, with force, to the object of this uid; Conflict when the name now belongs to another one."""
        return await self._apply(kind, manifest, {"uid": uid}, manager=manager, subresource=subresource)

    async def _apply(
        self, kind: Kind, manifest: Manifest, precondition: Manifest, *, manager: str, subresource: str | None = None
    ) -> Manifest:
        metadata = manifest["metadata"]
        path = kind.path(metadata["namespace"], metadata["name"], subresource)
        body = manifest | {"metadata": metadata | precondition}
        query = {"fieldManager": manager, "force": "true"}
        try:
            return await self._write("PATCH", kind, path, body, query=query, content=_APPLY)
        except errors.Refused as error:
            if "metadata.uid" in error.message:  # how the server says that the name is another object's
                raise errors.Conflict(409, "Conflict", error.message, what=f"PATCH {path}") from error
            raise

    async def create(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Create an object; Conflict when its name is taken."""
        return await self._write("POST", kind, kind.path(manifest["metadata"]["namespace"]), manifest)

    async def check(self, kind: Kind, manifest: Manifest) -> None:
        """Ask whether the server would create an object like this one; Refused, with its words, when it would not."""
        metadata = {name: value for name, value in manifest["metadata"].items() if name != "name"}
        metadata["generateName"] = f"{manifest['metadata']['name']}-"
        path = kind.path(metadata["namespace"])
        await self._write("POST", kind, path, manifest | {"metadata": metadata}, query={"dryRun": "All"})

    async def replace(self, kind: Kind, manifest: Manifest, subresource: str | None = None) -> Manifest:
        """Replace the version of an object that the manifest carries; Conflict when there is a newer one."""
        metadata = manifest["metadata"]
        path = kind.path(metadata.get("namespace"), metadata["name"], subresource)
        return await self._write("PUT", kind, path, manifest)

    async def annotate(
        self, kind: Kind, namespace: str, name: str, uid: str, annotations: dict[str, str | None]
    ) -> Manifest:
        """Set annotations, or take them (None) away; Conflict when the name now belongs to another object."""
        body = {"metadata": {"uid": uid, "annotations": annotations}}
        query = {"fieldManager": meta.FIELD_MANAGER}
        path = kind.path(namespace, name)
        return await self._write("PATCH", kind, path, body, query=query, content=_MERGE)

    async def set_managers(self, kind: Kind, metadata: dict[str, Any], entries: list[dict[str, Any]]) -> None:
        """Say anew whose the fields of an object are; Conflict when there is a newer version than this metadata's."""
        kept = {name: metadata[name] for name in ("uid", "resourceVersion")}
        path = kind.path(metadata.get("namespace"), metadata["name"])
        body = {"metadata": kept | {"managedFields": entries}}
        await self._write("PATCH", kind, path, body, query={"fieldManager": meta.FIELD_MANAGER}, content=_MERGE)

    async def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """Delete the object of this uid; that it is gone already is as good."""
        options = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        try:
            await self._write("DELETE", kind, kind.path(namespace, name), options)
        except (errors.NotFound, errors.Conflict):
            return

    async def get(self, kind: Kind, namespace: str | None, name: str, subresource: str | None = None) -> Manifest:
        """Return an object, or its subresource; no namespace for what lives in none."""
        return await self._request("GET", kind, kind.path(namespace, name, subresource))

    async def list(self, kind: Kind, namespace: str | None, query: dict[str, str]) -> list[Manifest]:
        """Return one page of objects."""
        answer = await self._request("GET", kind, kind.path(namespace), query=query)
        items: list[Manifest] = answer["items"] or []
        return items

    async def metadata(self, kind: Kind, namespace: str | None, selector: str) -> AsyncIterator[Manifest]:
        """Yield the metadata of every object that the label selector selects."""
        async for page in self.pages(kind, namespace, selector, accept=_METADATA_LIST):
            for item in page["items"] or ():  # an empty list of metadata is null
                yield item["metadata"]

    async def pages(
        self, kind: Kind, namespace: str | None, selector: str, accept: str = _JSON
    ) -> AsyncIterator[Manifest]:
        """Yield a list of the objects that the label selector selects, in pages of one moment."""
        query = {"limit": str(_CHUNK)} | ({"labelSelector": selector} if selector else {})
        while True:
            page = await self._request("GET", kind, kind.path(namespace), query=query, accept=accept)
            yield page
            if not (rest := page["metadata"].get("continue")):
                return
            query["continue"] = rest

    async def changes(
        self, kind: Kind, namespace: str | None, selector: str, version: str
    ) -> AsyncGenerator[dict[str, Any]]:
        """Yield the watch events after a version until the server ends the stream; a silent one is Unavailable."""
        path = kind.path(namespace)
        query = {"watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(_WATCH_SECONDS)}
        query |= {"labelSelector": selector, "resourceVersion": version}
        what = f"watching {path}"
        try:
            async with self._session.get(path, params=query, timeout=_WATCH_TIMEOUT) as response:
                if response.status != 200:
                    after = _seconds(response.headers.get("Retry-After"))
                    raise errors.from_answer(response.status, _decode(await response.read()), after, what)
                async for line in _lines(response.content):
                    yield orjson.loads(line)
        except (aiohttp.ClientError, TimeoutError, OSError, orjson.JSONDecodeError) as error:
            raise errors.Unavailable(0, "NoAnswer", str(error) or type(error).__name__, None, what) from error

    async def _write(
        self,
        method: str,
        kind: Kind,
        path: str,
        body: Manifest,
        *,
        query: dict[str, str] | None = None,
        content: str = _JSON,
    ) -> Manifest:
        left = self._fence()
        try:
            async with asyncio.timeout(left):
                return await self._request(method, kind, path, body, query=query, content=content)
        except TimeoutError as error:
            self._fence()  # the Lease may have been renewed meanwhile
            message = "no answer within the Lease's deadline"
            raise errors.Unavailable(0, "NoAnswer", message, None, f"{method} {path}") from error

    async def _request(
        self,
        method: str,
        kind: Kind,
        path: str,
        body: Manifest | None = None,
        *,
        query: dict[str, str] | None = None,
        content: str = _JSON,
        accept: str = _JSON,
    ) -> Manifest:
        what = f"{method} {path}"
        data = None if body is None else orjson.dumps(body)
        headers = {"Accept": accept} | ({} if data is None else {"Content-Type": content})
        try:
            async with self._session.request(
                method, path, params=query, data=data, headers=headers, timeout=_TIMEOUT
            ) as response:
                text, status = await response.read(), response.status
                retry_after = response.headers.get("Retry-After")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._metrics.requests.labels(method, kind.name, "0").inc()
            raise errors.Unavailable(0, "NoAnswer", str(error) or type(error).__name__, None, what) from error
        self._metrics.requests.labels(method, kind.name, str(status)).inc()
        answer = _decode(text)
        if status >= 300:
            raise errors.from_answer(status, answer, _seconds(retry_after), what)
        return answer


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Yield whole lines of any length; the reader's own way refuses long ones."""
    rest: list[bytes] = []
    async for chunk in content.iter_any():
        *lines, last = chunk.split(b"\n")
        for line in lines:
            yield b"".join((*rest, line)) if rest else line
            rest.clear()
        if last:
            rest.append(last)


def _decode(text: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:  # a proxy's or an overloaded server's plain text
        return {"message": text[:500].decode(errors="replace").strip()}
    return value if isinstance(value, dict) else {}


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isdecimal() else None
