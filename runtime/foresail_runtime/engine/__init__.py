"""ONNX Runtime behind one class: what a model takes and gives, how it is run, and how long a run takes.

`cores` tells how many threads there are to use, `providers` which execution provider is meant and which one the
session got, `signature` reads a session, `session` opens one, `warmup` runs it for the first times and measures.
Nothing in here knows of asyncio: whoever calls decides on which thread.
"""

import os

# From release 1.29 on, ONNX Runtime's own builds report to their maker unless this is set before the library is
# loaded. A model server says nothing about its models to anybody; whoever wants to sets the variable to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# numpy's OpenBLAS starts a thread for each core of the node, whatever the pod may use of it, and each spins for a
# while: on two cores that was more than a quarter of the CPU time of a start. It has to be set before numpy is loaded.
# What there is for such threads to do, the products of masks, takes a tenth of a millisecond each without them.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
