"""How many replicas a model should have: what its pods carry, what that asks for, and who is told.

`signal`, `window`, `decide`, `target`, `latency` and `mode` are pure: values in, values out. `scrape`, `metrics_api`,
`certificates` and `burst` do the input and output and decide nothing.
"""
