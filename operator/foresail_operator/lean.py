"""Imports kopf without the Kubernetes client, and aiohttp without the authorities that the system trusts.

Kopf looks for the client's objects, and we never hand it any. The client's import takes a fifth of the operator's start
and 9 MB. aiohttp makes two contexts for TLS as it is imported, each with a megabyte of authorities; every session of
ours says itself whom it trusts, so nobody uses them. Whoever runs the operator imports this first; outside a cluster
`access` imports the client later, for the user's way to the API server.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLIENT: Final = "kubernetes"
_AUTHORITIES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""The variables from which OpenSSL takes where the authorities are."""


@contextlib.contextmanager
def _nobody_trusted() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _AUTHORITIES}
    os.environ.update(dict.fromkeys(_AUTHORITIES, os.devnull))
    try:
        yield
    finally:
        for name, value in before.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value


with _nobody_trusted():
    import aiohttp  # noqa: F401  # for whoever imports it next

if _CLIENT not in sys.modules:
    sys.modules[_CLIENT] = None  # type: ignore[assignment]  # how an import is told that there is none
    try:
        import kopf  # noqa: F401  # for whoever imports it next
    finally:
        del sys.modules[_CLIENT]
