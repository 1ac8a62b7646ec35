"""Foresail's model server: the Open Inference Protocol over aiohttp and gRPC, ONNX Runtime behind it."""

__version__ = "0.1.0"
