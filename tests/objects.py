"""Objects by a kept connection, as each kubectl costs a sixth of a second of the processor."""

from __future__ import annotations

import atexit
import functools
import json
import urllib.parse
from typing import TYPE_CHECKING, Any, Final

from foresail_operator.api import kinds
from foresail_testbed import api, cluster, errors

if TYPE_CHECKING:
    from foresail_testbed.access import Access

_KINDS: Final = {
    "mdep": kinds.MODEL_DEPLOYMENT,
    "deployment": kinds.DEPLOYMENT,
    "service": kinds.SERVICE,
    "hpa": kinds.AUTOSCALER,
    "pdb": kinds.DISRUPTION_BUDGET,
    "configmap": kinds.CONFIG_MAP,
    "endpointslice": kinds.ENDPOINT_SLICE,
    "pod": kinds.POD,
}
"""By the names that kubectl takes."""


@functools.cache
def _client(of: cluster.Cluster) -> api.Client:
    """Return a cluster's one connection, which lasts as long as the tests."""
    made = of.api()
    atexit.register(made.close)
    return made


class Objects:
    """Those of one cluster; where that is not the testbed's, or its API server is away, kubectl is asked."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._client = _client(access) if isinstance(access, cluster.Cluster) else None

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """Return an object; None when there is none."""
        if self._client is not None and kind in _KINDS:
            try:
                return self._client.get(_KINDS[kind].path(namespace, name))
            except api.ApiError as error:
                if error.status == 404:
                    return None
                raise
            except OSError:
                pass
        words = ("-n", namespace, "get", kind, name, "-o", "json", "--ignore-not-found", "--show-managed-fields")
        text = self._access.kubectl(*words)
        found: dict[str, Any] | None = json.loads(text) if text.strip() else None
        return found

    def raw(self, path: str) -> Any:
        """Return what the API server answers at a path; None while it has no answer."""
        try:
            return (
                json.loads(self._access.kubectl("get", "--raw", path))
                if self._client is None
                else self._client.get(path)
            )
        except (api.ApiError, errors.TestbedError, OSError):
            return None

    def pods(self, namespace: str, selector: str) -> list[dict[str, Any]]:
        """Return the pods that a label selector selects."""
        query = urllib.parse.urlencode({"labelSelector": selector})
        path = f"{kinds.POD.path(namespace)}?{query}"
        found = self.raw(path)
        assert found is not None, f"no answer at {path}"
        items: list[dict[str, Any]] = found["items"]
        return items

    def apply(self, manifest: dict[str, Any]) -> None:
        """Apply an object as `kubectl apply --server-side --force-conflicts` does.

        Raises:
            TestbedError: The API server refuses it; its words are the message.
        """
        if self._client is not None:
            metadata = manifest["metadata"]
            kind = next(one for one in _KINDS.values() if one.name == manifest["kind"])
            query = "fieldManager=kubectl&force=true&fieldValidation=Strict"
            path = f"{kind.path(metadata['namespace'], metadata['name'])}?{query}"
            try:
                self._client.send("PATCH", path, manifest, content_type="application/apply-patch+yaml")
            except api.ApiError as error:
                raise errors.TestbedError(str(error)) from error
            except OSError:
                pass
            else:
                return
        words = ("apply", "--server-side", "--force-conflicts", "-f", "-")
        self._access.kubectl(*words, stdin=json.dumps(manifest))

    def delete_all(self, kind: str, namespace: str) -> None:
        """Delete all objects of a kind in a namespace, and wait for none of them; none may be there."""
        if self._client is not None:
            try:
                self._client.send("DELETE", _KINDS[kind].path(namespace))
            except OSError:
                pass
            else:
                return
        self._access.kubectl("-n", namespace, "delete", kind, "--all", "--wait=false")
