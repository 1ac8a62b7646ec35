"""Who may ask the metrics API: the aggregator, by its client certificate.

The API server keeps the certificate authority and the names in kube-system/extension-apiserver-authentication. It has
already checked the user's rights before it proxies, so behind that certificate everything is allowed, and nothing
without it.
"""

from __future__ import annotations

import dataclasses
import json
import re
import ssl
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMESPACE: Final = "kube-system"
CONFIG_MAP: Final = "extension-apiserver-authentication"
_CA_KEY: Final = "requestheader-client-ca-file"
_NAMES_KEY: Final = "requestheader-allowed-names"
_CERTIFICATE: Final = re.compile("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
"""What is around them may be words in any letters, which kube-apiserver skips."""


class FrontProxyError(ValueError):
    """The ConfigMap does not say who the aggregator is; the message says what is missing."""


@dataclasses.dataclass(frozen=True, slots=True)
class FrontProxy:
    """The aggregator: who signs its certificate, and which common names it may have (none given: any)."""

    ca_pem: str
    allowed_names: frozenset[str]

    def admits(self, certificate: Mapping[str, Any] | None) -> bool:
        """Return whether a verified peer certificate, as `ssl` decodes it, is the aggregator's."""
        if not certificate:
            return False
        names = {value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"}
        return bool(names) and (not self.allowed_names or not names.isdisjoint(self.allowed_names))


def read(config_map: Mapping[str, Any]) -> FrontProxy:
    """Read the ConfigMap.

    Raises:
        FrontProxyError: It lacks the certificate authority, or has one that can't be read, or the names are no list.
    """
    data = config_map.get("data") or {}
    given = data.get(_CA_KEY, "")
    if "BEGIN CERTIFICATE" not in given:
        raise FrontProxyError(
            f"ConfigMap {NAMESPACE}/{CONFIG_MAP} has no {_CA_KEY}: "
            "start kube-apiserver with --requestheader-client-ca-file"
        )
    ca_pem = "".join(f"{block}\n" for block in _CERTIFICATE.findall(given))
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=ca_pem)
    except (ssl.SSLError, ValueError, TypeError) as error:  # TypeError: other letters than ASCII's
        raise FrontProxyError(
            f"ConfigMap {NAMESPACE}/{CONFIG_MAP}: {_CA_KEY} can't be read ({error}): "
            "give kube-apiserver a PEM file with --requestheader-client-ca-file"
        ) from error
    try:
        names = json.loads(data.get(_NAMES_KEY) or "[]")
        return FrontProxy(ca_pem, frozenset(str(name) for name in names))
    except (ValueError, TypeError) as error:
        raise FrontProxyError(f"ConfigMap {NAMESPACE}/{CONFIG_MAP}: {_NAMES_KEY} is no list of names") from error
