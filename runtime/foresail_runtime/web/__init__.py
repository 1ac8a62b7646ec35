"""HTTP: the Open Inference Protocol's REST endpoints, pictures, metrics and health.

`server` owns sockets and connections, `routes` finds who answers a path, `infer` and `pictures` answer with
models, `status` with what is known without them, `bodies` reads requests, `answers` makes responses.
"""
