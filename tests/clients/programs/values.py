"""An array of each datatype, as the echoing model takes them."""

import numpy as np

ARRAYS = {
    "bool": np.array([[True, False], [False, True]]),
    "uint8": np.array([[0, 255], [1, 2]], np.uint8),
    "uint16": np.array([[0, 65535], [1, 2]], np.uint16),
    "uint32": np.array([[0, 2**32 - 1], [1, 2]], np.uint32),
    "uint64": np.array([[0, 2**64 - 1], [1, 2]], np.uint64),
    "int8": np.array([[-128, 127], [1, 2]], np.int8),
    "int16": np.array([[-(2**15), 2**15 - 1], [1, 2]], np.int16),
    "int32": np.array([[-(2**31), 2**31 - 1], [1, 2]], np.int32),
    "int64": np.array([[-(2**63), 2**63 - 1], [1, 2]], np.int64),
    "fp16": np.array([[0.5, -65504.0], [1, 2]], np.float16),
    "fp32": np.array([[0.1, -3e38], [1, 2]], np.float32),
    "fp64": np.array([[0.1, -1e308], [1, 2]], np.float64),
    "bytes": np.array([["plain", "grüße"], ["", "日本"]], object),
}
BINARY = np.array([[b"\xff\x00\xfe", b""], [b"plain", b"\n"]], object)
"""Strings that are no text: ONNX Runtime takes none of them, and the server says so."""


def same(sent, received):
    """Tell whether what came back is what was sent; strings come back as bytes."""
    if sent.dtype == object:
        sent = np.array([[item.encode() if isinstance(item, str) else item for item in row] for row in sent], object)
        received = np.array(
            [[item.encode() if isinstance(item, str) else item for item in row] for row in received], object
        )
    return received.shape == sent.shape and bool((received == sent).all())
