"""Foresail's model server: the Open Inference Protocol over aiohttp and gRPC, ONNX Runtime behind it.

Which thread owns what, in `foresail serve`:

```
 main        the event loop (uvloop): sockets, HTTP, gRPC's calls, small documents, queues, batches, counts, probes,
             reloads, and runs of models that take microseconds. What has no lock is read and written here only.
 engine …    opens one model, warms it up and runs it: a thread an instance, each one run at a time
 worker      pictures: decoded, resized, read out, drawn; and what /drift reckons. Four, for all models
 large       documents so large that they would hold the loop up, read and written one after the other
 asyncio     the loop's own pool, for what may block: downloads on the disk, folders looked at, large bodies (un)packed
 watchdog    looks at the other threads' stacks once a second for a run that hangs, and ends the process if one does
 lines       writes the access log ten times a second: `add` belongs to the loop, `flush` and `close` to any thread
```

Libraries have threads of their own: ONNX Runtime's, for each session as many as a run uses but for the one that calls
it, gRPC's core, which hands its calls to the loop, and OpenTelemetry's where spans are sent. What threads share is
under a lock (drift's samples, last words of a crash) or is replaced whole (TLS's certificates, tokens).
`foresail batch` has its own: `reader` reads the next rows while the main thread runs these, `picture` decodes.
"""

import os
import signal

__version__ = "0.1.0"

if os.getpid() == 1 and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
    # The first process of a container is deaf to signals it has no handler for, and what it imports takes a while: one
    # that is to end in that time would stay until it is killed. `main`, and then the app, have handlers of their own.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
