"""How the API server is reached and who we are there: a pod's service account, else a kubeconfig."""

from __future__ import annotations

import pathlib
import ssl
import time
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from foresail_operator import __version__, sockets, trust
from foresail_operator.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

_ACCOUNT: Final = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount")
_TOKEN_SECONDS: Final = 60.0
"""How long a token that was read is used; the kubelet renews the file long before the token ends."""
_CONNECTIONS: Final = 64


class Access:
    """Makes sessions that are signed in; `server` is the address their paths are relative to."""

    def __init__(self, server: str, tls: ssl.SSLContext | None, token: Token | None) -> None:
        self.server = server
        self._tls = tls
        self._token = token

    def session(self, connections: int = _CONNECTIONS) -> aiohttp.ClientSession:
        """Return a new session of so many connections, 0 for no bound; its owner closes it."""
        connector = aiohttp.TCPConnector(limit=connections, ssl=self._tls or True, keepalive_timeout=90)
        return aiohttp.ClientSession(
            base_url=self.server,
            connector=connector,
            headers={"User-Agent": f"foresail-operator/{__version__}"},
            middlewares=(self._token.sign,) if self._token else (),
        )


class Token:
    """A bearer token in a file that someone else renews."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._value = ""
        self._read_at = float("-inf")

    async def sign(self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """Put the token on a request (an aiohttp client middleware)."""
        now = time.monotonic()
        if now - self._read_at > _TOKEN_SECONDS:
            self._value, self._read_at = self._path.read_text().strip(), now  # a tmpfs: never blocks
        request.headers["Authorization"] = f"Bearer {self._value}"
        return await handler(request)


async def find(environment: Mapping[str, str]) -> Access:
    """Return the access that the surroundings offer.

    Raises:
        SettingsError: There is neither a service account nor a usable kubeconfig.
    """
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT", "443")
    if host and not environment.get("KUBECONFIG"):
        tls = trust.as_kubernetes_does(ssl.create_default_context(cafile=str(_ACCOUNT / "ca.crt")))
        return Access(f"https://{sockets.bracketed(host)}:{port}", tls, Token(_ACCOUNT / "token"))
    return await _from_kubeconfig(environment.get("KUBECONFIG"))


async def _from_kubeconfig(path: str | None) -> Access:
    """Read a kubeconfig with the official client, which knows every way to sign in (exec plugins too)."""
    from kubernetes.aio import client, config  # noqa: PLC0415  # costs 40 MB, and a pod never needs it

    configuration = client.Configuration()
    try:
        load: Callable[..., Awaitable[None]] = config.load_kube_config
        await load(config_file=path, client_configuration=configuration)
    except (config.ConfigException, OSError) as error:
        raise SettingsError(f"no way to the API server: {error}; set KUBECONFIG or run in a pod") from error
    tls = trust.as_kubernetes_does(ssl.create_default_context(cafile=configuration.ssl_ca_cert))
    if configuration.cert_file:
        tls.load_cert_chain(configuration.cert_file, configuration.key_file)
    if not configuration.verify_ssl:
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    return _Kubeconfig(configuration.host, tls, configuration)


class _Kubeconfig(Access):
    def __init__(self, server: str, tls: ssl.SSLContext, configuration: Any) -> None:
        super().__init__(server, tls, None)
        self._configuration = configuration

    def session(self, connections: int = _CONNECTIONS) -> aiohttp.ClientSession:
        session = super().session(connections)
        if header := self._configuration.api_key.get("BearerToken") or self._configuration.api_key.get("authorization"):
            session.headers["Authorization"] = header if " " in header else f"Bearer {header}"
        return session
