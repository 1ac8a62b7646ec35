"""Foresail's model server: the Open Inference Protocol over aiohttp and gRPC, ONNX Runtime behind it."""

import os
import signal

__version__ = "0.1.0"

if os.getpid() == 1 and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
    # The first process of a container is deaf to signals it has no handler for, and what it imports takes a while: one
    # that is to end in that time would stay until it is killed. `main`, and then the app, have handlers of their own.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
