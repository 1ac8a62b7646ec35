"""Autoscaling policies against load, in a simulator: `python -m bench.simulate`."""
