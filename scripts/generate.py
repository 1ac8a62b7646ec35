"""`make generate` and `make verify`: every file that is made from another one, in one place.

The operator's own generator makes the CRD, its copies, the reference page and the golden children; here come the
runtime's protobuf modules, and the manifests that helm renders from the chart: what `kubectl apply -k deploy`
applies, and the chart's golden files.
"""

from __future__ import annotations

import argparse
import pathlib
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import generate_protobuf

from foresail_operator import generate
from foresail_operator.scaling import documents

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = pathlib.Path(__file__).resolve().parent.parent
CHART: Final = "charts/foresail"
GOLDEN_FOLDER: Final = "tests/chart/golden"
KUSTOMIZE_FOLDER: Final = "deploy"
NAMESPACE: Final = "foresail-system"
HEADER: Final = "# Made by `make generate` from charts/foresail; do not edit.\n"


def files() -> Iterator[tuple[str, str]]:
    """Yield each generated file's path under the root, and its text."""
    yield from generate_protobuf.files(ROOT)
    for path, text in generate.files(ROOT):
        yield path, text
        if path.startswith("crds/"):
            yield f"{KUSTOMIZE_FOLDER}/crd.yaml", text
    installed, registered = parted(
        without_helm(render(["--set", f"metricsApi.groups={{{','.join(documents.VERSIONS)}}}"]))
    )
    yield f"{KUSTOMIZE_FOLDER}/foresail.yaml", HEADER + installed
    yield f"{KUSTOMIZE_FOLDER}/metrics-api/apiservices.yaml", HEADER + registered
    for values in sorted((ROOT / GOLDEN_FOLDER).glob("*.values.yaml")):
        name = values.name.removesuffix(".values.yaml")
        yield f"{GOLDEN_FOLDER}/{name}.yaml", HEADER + render(["--values", str(values)])


def render(options: list[str]) -> str:
    """Return what helm would install."""
    words = ["scripts/helm", "template", "foresail", CHART, "--namespace", NAMESPACE, *options]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603  # our own script
    if done.returncode != 0:
        sys.exit(f"`{' '.join(words)}` failed: {done.stderr.strip()}")
    return done.stdout


def without_helm(text: str) -> str:
    """Return the manifests without the labels that only a release of helm carries."""
    lines = text.splitlines(keepends=True)
    return "".join(
        line.replace("managed-by: Helm", "managed-by: kustomize") for line in lines if "helm.sh/chart:" not in line
    )


def parted(text: str) -> tuple[str, str]:
    """Return the manifests, and apart from them the APIServices.

    Helm looks whether another provider has them before it makes them; kubectl would overwrite, so there the user says
    that nobody has.
    """
    documents = ["---\n" + document for document in text.split("---\n")[1:]]
    registered = [document for document in documents if "\nkind: APIService\n" in document]
    return "".join(document for document in documents if document not in registered), "".join(registered)


def main() -> None:
    """Write or check the files; exit 1 when a check fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if a file would change, write nothing")
    check: bool = parser.parse_args().check
    stale = [(path, text) for path, text in files() if current(path) != text]
    for path, text in stale:
        if not check:
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / path).write_text(text)
        sys.stderr.write(f"{'stale' if check else 'written'}: {path}\n")
    if stale and check:
        sys.exit("run `make generate` and read the difference")


def current(path: str) -> str | None:
    """Return the file's present text, None if there is none."""
    file = ROOT / path
    return file.read_text() if file.exists() else None


if __name__ == "__main__":
    main()
