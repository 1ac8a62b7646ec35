"""Measures the runtime on loopback, servers and clients sharing the machine's cores: read the ratios.

    python -m bench.runtime [PART …] [--seconds 2] [--rounds 3]

Without a PART those that take seconds are run; `all` runs every one. Needs `wrk` (Debian package of that name).
Exits 1 when a bar is missed; the tables say which.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import signal
import sys

PARTS = {
    "small": "a small model over REST, against a bare aiohttp handler",
    "start": "from start to the first answer",
    "large": "1 MiB as JSON and as binary",
    "grpc_calls": "a small model over gRPC, against a bare grpc.aio handler",
    "batching": "a model that gains from batches, batched and not",
    "real": "a model of 10 ms (or --model) against session.run in a loop",
    "pictures": "JPEG in, boxes out, on top of the model (--detector)",
    "neighbours": "a small model beside a busy one of 40 ms",
    "observing": "what metrics and the access log cost",
    "drift": "what watching for drift costs",
    "poisson": "the same model at 80 percent load, against the M/D/1 queue",
    "overload": "ten times the load of a 10 ms model",
    "peers": "other servers with the same small model (--peers, --peers-folder)",
}
QUICK = ("small", "start", "large", "grpc_calls", "batching", "real")


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers end with whoever stops this
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help="; ".join(f"{key}: {text}" for key, text in PARTS.items())
    )
    parser.add_argument("--seconds", type=float, default=2, help="of one run under load")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, in turn; medians are compared")
    parser.add_argument("--requests", type=int, default=2000, help="of poisson; the bar is meant for 10000")
    parser.add_argument("--overload-seconds", type=float, default=15, help="of overload; the bar is meant for 60")
    parser.add_argument("--model", default=os.environ.get("BENCH_MODEL"), help="for real and poisson ($BENCH_MODEL)")
    parser.add_argument("--detector", default=os.environ.get("BENCH_DETECTOR"), help="for pictures ($BENCH_DETECTOR)")
    parser.add_argument("--picture", default=os.environ.get("BENCH_PICTURE"), help="for pictures ($BENCH_PICTURE)")
    parser.add_argument("--peers", default="triton mlserver kserve", help="which other servers")
    parser.add_argument("--peers-folder", default=os.environ.get("FORESAIL_PEERS"), help="with NAME_mlp.py of each")
    options = parser.parse_args()
    parts = [part for word in options.parts for part in word.split(",") if part] or list(QUICK)
    parts = list(PARTS) if parts == ["all"] else parts
    if unknown := set(parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if "peers" in options.parts and not options.peers_folder:
        parser.error("peers needs the folder with them: --peers-folder FOLDER, or FORESAIL_PEERS=FOLDER")
    if shutil.which("wrk") is None:
        parser.error("wrk is missing: apt-get install wrk")
    missed = [part for part in parts if not importlib.import_module(f"bench.runtime.{part}").main(options)]
    print("\nMISSED a bar: " + ", ".join(missed) if missed else "\nevery bar that was measured was met")
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
