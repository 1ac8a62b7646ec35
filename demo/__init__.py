"""The main job, shown: a cluster, the operator, a detector, boxes on a photograph, load, more replicas, and all gone.

`story` tells it, a step a function; `places` are the clusters it can be told on; `load`, `record` and `plot` do what
their names say; `screen` is the only module that prints.
"""
