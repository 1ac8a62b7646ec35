"""Continuous batching: a batch leaves the moment the engine is free and takes what waits and fits together.

`plan` decides (which requests share a run, how an oversized one is cut), `ticket` is one request of a batch and how
outputs are shared out, `feeder` keeps the engine at work, `batcher` lets requests in.
Everything but `Engine.run` happens on the event loop's thread, so nothing in here needs a lock.
"""
