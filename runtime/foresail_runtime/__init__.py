"""Foresail's model server: the Open Inference Protocol over aiohttp and gRPC, ONNX Runtime behind it.

Which thread owns what:

| thread | owns |
|---|---|
| the event loop's | all state: connections, queues, models, counts, health; it runs small models itself |
| engine NAME | the runs of one model's sessions; as many threads as it has instances |
| worker | pictures while they are decoded and drawn, and files while they are read; state is never touched there |
| large | documents of a megabyte and more while they are read and written, one after the other |
| asyncio's own | digests, archives and packed bodies |
| lines | the access log's lines on their way to stderr |
| watchdog | a look at the engines' stacks once a second; it ends the process where the loop can't |
| grpcio's | sockets of gRPC; every call is answered on the event loop's thread |
"""

import os
import signal

__version__ = "0.1.0"

if os.getpid() == 1 and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
    # The first process of a container is deaf to signals it has no handler for, and what it imports takes a while: one
    # that is to end in that time would stay until it is killed. `main`, and then the app, have handlers of their own.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
