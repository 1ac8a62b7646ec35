"""A JPEG of 640 x 480 in, boxes out: what it takes beside the run of the model."""

from __future__ import annotations

import io
import pathlib
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from bench.runtime import real, report, requests, servers, wrk

if TYPE_CHECKING:
    import argparse

SIZE: Final = (640, 480)
BAR_MS: Final = 12.0


def main(options: argparse.Namespace) -> bool:
    """Measure a detector that is given, with the picture that is given; return whether the bar was met."""
    if not options.detector:
        print("\npictures: left out, no --detector MODEL.onnx was given (or BENCH_DETECTOR set)")
        return True
    path = pathlib.Path(options.detector).resolve()
    picture = requests.Request(f"/v2/models/{real.NAME}/detect", _jpeg(options.picture), {"Content-Type": "image/jpeg"})
    tensor = real.request(path)
    taken, runs, tensors = [], [], []
    with servers.foresail(path, real.NAME, FORESAIL_CPU_LIMIT="1") as server:
        server.wait(picture)
        for _ in range(options.rounds):
            runs.append(real.run_seconds(path, options.seconds) * 1000)
            taken.append(wrk.load(server, picture, 1, options.seconds).p50)
            tensors.append(wrk.load(server, tensor, 1, options.seconds).p50)
    run, boxes, plain = (float(np.median(values)) for values in (runs, taken, tensors))
    rows: list[list[object]] = [
        ["session.run", run, 0.0, None],
        ["tensor in, tensors out", plain, plain - run, None],
        ["JPEG in, boxes out", boxes, boxes - run, report.Bar(boxes - run, most=BAR_MS)],
    ]
    title = f"{path.stem}, JPEG of {SIZE[0]} x {SIZE[1]}, one connection, one thread"
    return report.show("pictures", title, ("what", "p50 ms", "on top ms", "bar"), rows)


def _jpeg(path: str | None) -> bytes:
    if path:
        picture = Image.open(path).convert("RGB").resize(SIZE)
    else:  # noise is the hardest of pictures to decode: smooth it
        noise = np.random.default_rng(1).integers(0, 255, (30, 40, 3), np.uint8)
        picture = Image.fromarray(noise).resize(SIZE, Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
