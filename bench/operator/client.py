"""The measuring side's requests and watches, with all rights."""

from __future__ import annotations

import ssl
import time
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from foresail_operator.api.kinds import Kind

METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
JSON: Final = "application/json"


class Client:
    """A session at the API server of a kubeconfig; an asynchronous context."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._server = cluster["server"]
        self._tls = ssl.create_default_context(cafile=cluster["certificate-authority"])
        self._tls.verify_flags &= ~ssl.VERIFY_X509_STRICT  # as the operator does, see its module trust
        self._tls.load_cert_chain(user["client-certificate"], user["client-key"])

    async def __aenter__(self) -> Client:
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=0)
        timeout = aiohttp.ClientTimeout(total=60)
        self._session = aiohttp.ClientSession(self._server, connector=connector, timeout=timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def call(
        self, method: str, path: str, body: object = None, *, accept: str = JSON, content: str = JSON
    ) -> dict[str, Any]:
        """Send one request and return its answer; raises RuntimeError with the server's words."""
        data = None if body is None else orjson.dumps(body)
        headers = {"Accept": accept, "Content-Type": content}
        async with self._session.request(method, path, data=data, headers=headers) as response:
            text = await response.read()
            if response.status >= 300:
                raise RuntimeError(f"{method} {path}: {response.status} {text[:400]!r}")
            found: dict[str, Any] = orjson.loads(text)
            return found

    async def watch(self, kind: Kind, see: Callable[[str, dict[str, Any], float], None], *, whole: bool) -> None:
        """Call `see` with type, object (its metadata only, unless `whole`) and time of every change until cancelled."""
        path = kind.path(None)
        first = await self.call("GET", f"{path}?limit=1", accept=JSON if whole else METADATA_LIST)
        query = {"watch": "1", "resourceVersion": first["metadata"]["resourceVersion"], "timeoutSeconds": "7200"}
        headers = {"Accept": JSON if whole else METADATA}
        endless = aiohttp.ClientTimeout(total=None)
        async with self._session.get(path, params=query, headers=headers, timeout=endless) as response:
            rest = b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                now = time.monotonic()
                for line in lines:
                    event = orjson.loads(line)
                    see(event["type"], event["object"], now)
        raise RuntimeError(f"the watch of {kind.plural} ended")
