"""A real Kubernetes for tests on one Linux machine: private namespaces, nothing left behind."""

__version__ = "0.1.0"
