"""A few requests to the API server with nothing but the standard library."""

import http.client
import json
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from foresail_testbed import errors


class ApiError(Exception):
    """The API server refused; `status` is its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class Client:
    """One kept connection to an API server, opened anew when it has gone."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext, timeout_seconds: float = 10.0) -> None:
        self._host, self._port, self._context, self._timeout = host, port, context, timeout_seconds
        self._connection = self._make()

    def _make(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self._host, self._port, context=self._context, timeout=self._timeout)

    @classmethod
    def trusted(cls, host: str, port: int, authority: Path, certificate: Path, key: Path) -> "Client":
        """Build a client from PEM files."""
        context = ssl.create_default_context(cafile=str(authority))
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # see pki
        context.load_cert_chain(certificate, key)
        return cls(host, port, context)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def send(self, method: str, path: str, body: object = None, content_type: str = "application/json") -> str:
        """Send a request and return the answer's text; raises ApiError for a refusal, OSError if none came."""
        payload = None if body is None else json.dumps(body)
        headers = {"Content-Type": content_type} if payload else {}
        try:
            status, text = self._exchange(method, path, payload, headers)
        except ConnectionError:
            if method != "GET":  # a kept connection may have been closed meanwhile; what changes nothing is asked again
                raise
            status, text = self._exchange(method, path, payload, headers)
        if status >= 400:
            raise ApiError(status, words(text))
        return text

    def _exchange(self, method: str, path: str, payload: str | None, headers: dict[str, str]) -> tuple[int, str]:
        try:
            self._connection.request(method, path, payload, headers)
            answer = self._connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            self._connection = self._make()
            raise ConnectionError(str(error) or type(error).__name__) from error

    def get(self, path: str) -> dict[str, Any]:
        """Read an object or a list."""
        found: dict[str, Any] = json.loads(self.send("GET", path))
        return found

    def create(self, manifest: dict[str, Any]) -> None:
        """Create an object of a kind that the testbed itself needs."""
        self.send("POST", collection(manifest), manifest)

    def wait_ok(self, path: str, seconds: float, check: Callable[[], None] = lambda: None) -> None:
        """Wait until a path answers without an error."""

        def answers() -> bool:
            self.send("GET", path)
            return True

        wait_until(answers, seconds, f"an answer from {path}", check)


def words(text: str) -> str:
    """Return the message of a Status object, or the text where it is none."""
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text


def collection(manifest: dict[str, Any]) -> str:
    """Return the path to which an object of its kind is posted."""
    version, kind = manifest["apiVersion"], manifest["kind"]
    base = "/api" if "/" not in version else "/apis"
    namespace = manifest["metadata"].get("namespace")
    inside = f"/namespaces/{namespace}" if namespace else ""
    return f"{base}/{version}{inside}/{kind.lower()}s"


def wait_until(holds: Callable[[], bool], seconds: float, what: str, check: Callable[[], None] = lambda: None) -> None:
    """Wait until a condition holds; a refused request counts as not yet, and `check` may raise to give up."""
    deadline = time.monotonic() + seconds
    last = "it did not hold"
    while True:
        try:
            if holds():
                return
        except (ApiError, OSError) as error:
            last = str(error)
        check()
        if time.monotonic() > deadline:
            raise errors.TestbedError(f"waited {seconds:.0f} s for {what}: {last}")
        time.sleep(0.05)
