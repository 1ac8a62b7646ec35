"""`make images`, which the demo runs where Docker is: the commands, read and not run."""

from __future__ import annotations

import itertools
import os
import subprocess

import pytest

from demo.__main__ import version
from demo.places import DOCKERFILES, ROOT

SCRIPT = ROOT / "scripts" / "images"


def run(**variables: str) -> subprocess.CompletedProcess[str]:
    """Run it with a builder that only prints what it is told."""
    given = {"PATH": os.environ["PATH"], "BUILDER": "echo build", **variables}
    return subprocess.run([SCRIPT], env=given, capture_output=True, text=True, check=False)


def commands(**variables: str) -> list[list[str]]:
    done = run(**variables)
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


def after(flag: str, words: list[str]) -> str:
    return words[words.index(flag) + 1]


def arguments(words: list[str]) -> dict[str, str]:
    """Return the build arguments of one command."""
    values = [value for flag, value in itertools.pairwise(words) if flag == "--build-arg"]
    return dict(value.split("=", 1) for value in values)


def test_every_dockerfile_of_the_project_is_built_and_tagged_with_its_version() -> None:
    built = {after("-t", words): after("-f", words) for words in commands()}
    proxy = {"foresail-proxy": "Dockerfile.proxy"}
    assert built == {f"localhost/{name}:{version()}": file for name, file in (DOCKERFILES | proxy).items()}
    there = {
        path.relative_to(ROOT).as_posix() for path in [*ROOT.glob("Dockerfile*"), *ROOT.glob("examples/*/Dockerfile")]
    }
    assert set(built.values()) == there


def test_examples_are_built_from_their_own_folder_and_the_rest_from_the_project() -> None:
    assert [words[-1] for words in commands()] == [".", ".", ".", "examples"]


@pytest.mark.parametrize(("variant", "suffix"), [("cpu", ""), ("openvino", "-openvino"), ("gpu", "-gpu")])
def test_variant_is_the_runtimes_alone_and_ends_its_tag(variant: str, suffix: str) -> None:
    built = {after("-t", words): arguments(words).get("VARIANT") for words in commands(VARIANT=variant, TAG="7")}
    assert built == {
        "localhost/foresail-operator:7": None,
        f"localhost/foresail-runtime:7{suffix}": variant,
        "localhost/foresail-proxy:7": None,
        "localhost/foresail-example-models:7": None,
    }


@pytest.mark.parametrize("registry", ["registry.example.com/team", "registry.example.com/team/"])
def test_images_are_named_for_the_registry_and_built_on_the_base_of_the_caller(registry: str) -> None:
    built = commands(REGISTRY=registry, BASE="mirror/debian:13", TAG="7")
    assert after("-t", built[0]) == "registry.example.com/team/foresail-operator:7"
    assert [arguments(words)["BASE"] for words in built] == ["mirror/debian:13"] * 4
    assert all("BASE" not in arguments(words) for words in commands())


def test_index_of_the_caller_is_what_pip_asks_in_a_build_and_gets_into_no_image() -> None:
    index = "https://mirror.example.com/simple"
    built = {after("-f", words): arguments(words).get("PIP_INDEX_URL") for words in commands(PIP_INDEX_URL=index)}
    with_pip = {file for file in built if "-m pip install" in (ROOT / file).read_text()}
    assert built == {file: index if file in with_pip else None for file in built}
    assert all("PIP_INDEX_URL" not in arguments(words) for words in commands())
    for file in with_pip:
        stages = (ROOT / file).read_text().split("\nFROM ")[1:]
        assert ["ARG PIP_INDEX_URL\n" in stage for stage in stages] == ["-m pip" in stage for stage in stages]
        assert "-m pip" not in stages[-1]


def test_variant_that_is_none_is_refused_before_anything_is_built() -> None:
    done = run(VARIANT="rocm")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "images: VARIANT is cpu, openvino or gpu, not 'rocm'\n"


def test_build_that_fails_ends_it() -> None:
    done = run(BUILDER="false")
    assert done.returncode == 1
