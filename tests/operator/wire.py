"""The API server's side of the wire, as far as the operator's requests go: objects in a dict behind real HTTP."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from foresail_operator.api import kinds

if TYPE_CHECKING:
    from collections.abc import Callable

Manifest = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Request:
    """A request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclasses.dataclass
class Api:
    """Objects by path; `answer` may take over a request, `requests` is what came."""

    objects: dict[str, Manifest] = dataclasses.field(default_factory=dict)
    requests: list[Request] = dataclasses.field(default_factory=list)
    answer: Callable[[Request], web.Response | None] = lambda _: None
    _versions: itertools.count[int] = dataclasses.field(default_factory=lambda: itertools.count(100))

    def app(self) -> web.Application:
        """Return the application to serve."""
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._serve)
        return app

    @property
    def writes(self) -> list[tuple[str, str]]:
        """Return method and path of what came to change something."""
        return [(one.method, one.path) for one in self.requests if one.method != "GET"]

    def put(self, path: str, manifest: Manifest) -> Manifest:
        """Place an object there, as someone else would."""
        metadata = {"uid": f"uid-{next(self._versions)}"} | manifest.get("metadata", {})
        self.objects[path] = manifest | {"metadata": metadata | {"resourceVersion": str(next(self._versions))}}
        return copy.deepcopy(self.objects[path])

    async def _serve(self, request: web.Request) -> web.Response:
        text = await request.text()
        came = Request(
            request.method, request.path, dict(request.query), dict(request.headers), json.loads(text) if text else None
        )
        self.requests.append(came)
        return self.answer(came) or self._act(came)

    def _act(self, came: Request) -> web.Response:
        match came.method:
            case "GET":
                return self._get(came)
            case "PATCH":
                return self._apply(came)
            case "POST":
                path = f"{came.path}/{came.body['metadata']['name']}"
                return failure(409, "AlreadyExists") if path in self.objects else self._store(path, came.body, 201)
            case "PUT":
                return self._replace(came)
            case _:
                found = self.objects.pop(came.path, None)
                return web.json_response({"kind": "Status"}) if found else failure(404, "NotFound")

    def _get(self, came: Request) -> web.Response:
        if came.path in self.objects:
            return web.json_response(self.objects[came.path])
        if came.path.rpartition("/")[2] in {kind.plural for kind in (*kinds.BY_NAME.values(), kinds.LEASE)}:
            items = [value for path, value in self.objects.items() if path.rpartition("/")[0] == came.path]
            return web.json_response({"metadata": {}, "items": items or None})
        return failure(404, "NotFound")

    def _replace(self, came: Request) -> web.Response:
        before = self.objects.get(came.path)
        if before is None:
            return failure(404, "NotFound")
        if before["metadata"]["resourceVersion"] != came.body["metadata"]["resourceVersion"]:
            return failure(409, "Conflict")
        return self._store(came.path, came.body, 200)

    def _apply(self, came: Request) -> web.Response:
        path = came.path.removesuffix("/status")
        before, wanted = self.objects.get(path), came.body["metadata"]
        if before is None:
            return failure(409, "Conflict") if "uid" in wanted else self._store(path, came.body, 201)
        if "resourceVersion" in wanted:
            return failure(409, "Conflict")
        if wanted["uid"] != before["metadata"]["uid"]:
            return failure(422, "Invalid", "metadata.uid: Invalid value: field is immutable")
        merged = _merge(before, came.body)
        if path != came.path:
            merged["status"] = came.body["status"]  # its one writer states all of it, so what it leaves out goes
        return self._store(path, merged, 200)

    def _store(self, path: str, manifest: Manifest, status: int) -> web.Response:
        stored = copy.deepcopy(manifest)
        stored["metadata"] = {"uid": f"uid-{next(self._versions)}"} | stored["metadata"]
        stored["metadata"]["resourceVersion"] = str(next(self._versions))
        self.objects[path] = stored
        return web.json_response(stored, status=status)


def failure(status: int, reason: str, message: str = "no", **headers: str) -> web.Response:
    """Return an error as the API server writes it."""
    body = {"kind": "Status", "reason": reason, "message": message}
    return web.json_response(
        body, status=status, headers={name.replace("_", "-"): text for name, text in headers.items()}
    )


def _merge(before: Any, wanted: Any) -> Any:
    if not (isinstance(before, dict) and isinstance(wanted, dict)):
        return wanted
    whole = {"selector"}  # the API takes a Service's as one value
    merged = {name: value if name in whole else _merge(before.get(name), value) for name, value in wanted.items()}
    return before | merged
