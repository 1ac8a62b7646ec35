"""What one wants to see of a namespace in which a test has failed."""

import subprocess

from foresail_testbed import access

SECONDS = 20.0
LOG_LINES = "80"


def describe(where: access.Access, namespace: str) -> str:
    """Return objects, events, descriptions and logs (those of a container's previous life included) as text."""
    parts = [
        show(where, namespace, "get", "all,endpointslices,configmaps,pdb", "-o", "wide"),
        show(where, namespace, "get", "events", "--sort-by=.lastTimestamp"),
        show(where, namespace, "describe", "pods"),
    ]
    pods = list_pods(where, namespace)
    for pod in pods:
        words = ("logs", pod, "--all-containers", "--prefix", f"--tail={LOG_LINES}")
        parts += [show(where, namespace, *words), show(where, namespace, *words, "--previous")]
    return "\n".join(parts)


def show(where: access.Access, namespace: str, *words: str) -> str:
    """Return a kubectl command's output under its own line; a command that fails shows its words instead."""
    try:
        done = where.execute(["kubectl", "-n", namespace, *words], SECONDS)
    except subprocess.TimeoutExpired:
        return f"$ kubectl {' '.join(words)} gave no answer within {SECONDS:.0f} s"
    return f"$ kubectl {' '.join(words)}\n{done.stdout}{done.stderr}"


def list_pods(where: access.Access, namespace: str) -> list[str]:
    """Return the namespace's pods as `pod/NAME`; none if the API server gives no answer."""
    try:
        done = where.execute(["kubectl", "-n", namespace, "get", "pods", "-o", "name"], SECONDS)
    except subprocess.TimeoutExpired:
        return []
    return done.stdout.split()
