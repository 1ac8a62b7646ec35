"""Imports kopf without the Kubernetes client, for whose objects kopf looks and which we never hand it.

The client's import takes a fifth of the operator's start and 9 MB. Whoever runs the operator imports this first;
outside a cluster `access` imports the client later, for the user's way to the API server.
"""

from __future__ import annotations

import sys

_CLIENT = "kubernetes"

if _CLIENT not in sys.modules:
    sys.modules[_CLIENT] = None  # type: ignore[assignment]  # how an import is told that there is none
    try:
        import kopf  # noqa: F401  # for whoever imports it next
    finally:
        del sys.modules[_CLIENT]
