"""Autoscaling policies against load, in a simulator: `python -m simulate` from the bench folder."""
