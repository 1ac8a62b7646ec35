"""`make fuzz SECONDS=600`: libFuzzer, by atheris, on every way that bytes come in.

The corpus is kept in a folder between runs; an input that breaks something is written beside it and ends the run with
a status that is not 0. Put it into test_target.FOUND, with its story, once it is mended.
"""

from __future__ import annotations

import argparse
import hashlib
import pathlib
import sys
import warnings

import atheris

with atheris.instrument_imports(include=["foresail_runtime"]):
    from tests.runtime.fuzz import target

TOO_SLOW_SECONDS = 10
WORDS = (
    *("inputs", "outputs", "name", "shape", "datatype", "data", "parameters", "binary_data", "binary_data_size"),
    *("binary_data_output", "id", "timeout", "priority", "FP32", "BYTES", "BOOL", "INT64", "BF16", "rows", "columns"),
    *("NaN", "null", "true", "1e999", "-1", "9223372036854775808", "[[", "\\\\ud800"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("test-output/fuzz"))
    chosen = parser.parse_args()
    corpus = chosen.folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")  # Pillow's, of broken pictures, in ever new words
    fuzzed = target.Target()
    for seed in fuzzed.seeds():
        (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    words = chosen.folder / "words"
    words.write_text("".join(f'"{word}"\n' for word in WORDS))
    options = [
        f"-max_total_time={chosen.seconds}",
        f"-timeout={TOO_SLOW_SECONDS}",
        "-max_len=8192",
        "-rss_limit_mb=2048",
        f"-dict={words}",
        f"-artifact_prefix={chosen.folder}/broken-",
        "-print_final_stats=1",
        str(corpus),
    ]
    atheris.Setup([sys.argv[0], *options], lambda data: fuzzed(bytes(data)) and None)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
