"""Continuous batching: a batch leaves the moment the engine is free and takes what waits and fits together.

`plan` decides (which requests share a run, how an oversized one is cut), `batcher` waits and runs.
Everything but `Engine.run` happens on the event loop's thread, so nothing in here needs a lock.
"""
