"""Foresail's operator: turns ModelDeployments into Deployments, Services and HorizontalPodAutoscalers."""

__version__ = "0.1.0"
