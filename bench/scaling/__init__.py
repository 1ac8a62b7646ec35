"""Scaling as it is felt, on a cluster with kubelets."""
