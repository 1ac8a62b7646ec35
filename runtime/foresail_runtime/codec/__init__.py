"""Bytes to tensors and back, without I/O: the JSON form and the binary tensor extension of the protocol.

`rest` reads and writes whole bodies, `values` turns JSON values into arrays and arrays into JSON values,
`raw` does the same for little-endian bytes, `check` compares what came with what the model takes.
"""
