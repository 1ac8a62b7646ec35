"""What the examples say of themselves, without a cluster."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.examples import examples

if TYPE_CHECKING:
    import pathlib

FILE_WORD = re.compile(r"(?:-f|-k|@|--values) ?((?:examples|charts|deploy|tests)/[\w./-]+)")
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


@pytest.mark.parametrize("page", examples.PAGES, ids=lambda page: str(page.relative_to(examples.ROOT)))
def test_every_file_that_a_page_names_is_there(page: pathlib.Path) -> None:
    text = page.read_text()
    named = [examples.ROOT / word.rstrip(".") for word in FILE_WORD.findall(text)]
    linked = [page.parent / word for word in LINK.findall(text)]
    assert [str(path) for path in [*named, *linked] if not path.exists()] == []


@pytest.mark.parametrize("path", examples.manifests(), ids=lambda path: path.name)
def test_every_file_that_a_manifest_is_made_of_is_there(path: pathlib.Path) -> None:
    named = re.findall(r"--from-file=[\w.]+=(\S+)", path.read_text())
    assert [name for name in named if not (examples.ROOT / name).exists()] == []


def test_numbered_examples_are_listed_in_their_order() -> None:
    folders = sorted(path.name for path in examples.EXAMPLES.iterdir() if path.name[:2].isdigit())
    listed = re.findall(r"^\| \[([\w-]+)\]", (examples.EXAMPLES / "README.md").read_text(), re.MULTILINE)
    assert listed == folders


def test_model_in_the_configmap_is_the_file_beside_it() -> None:
    model = (examples.EXAMPLES / "01-fraud-scoring" / "models" / "phishing_logreg.onnx").read_bytes()
    for name in ("01-fraud-scoring/fraud-scoring.yaml", "08-scale-to-zero/sleepy-fraud.yaml"):
        configmap, deployment = yaml.safe_load_all((examples.EXAMPLES / name).read_text())
        assert deployment["spec"]["model"]["uri"] == f"configmap://{configmap['metadata']['name']}/model.onnx"
        assert base64.b64decode(configmap["binaryData"]["model.onnx"]) == model


def test_answer_on_the_page_is_the_answer_in_the_file() -> None:
    folder = examples.EXAMPLES / "01-fraud-scoring"
    assert examples.answer(folder / "README.md") == json.loads((folder / "answer.json").read_text())


@pytest.mark.parametrize("page", examples.PAGES, ids=lambda page: str(page.relative_to(examples.ROOT)))
def test_command_of_a_page_can_be_pasted_as_it_is(page: pathlib.Path) -> None:
    text = "\n".join(examples.blocks(page, "sh"))
    assert re.findall(r"kubectl get \S+,\S+.* (?:--watch|-w)\b", text) == [], "kubectl watches one kind at a time"
    assert "sed -i " not in text, "macOS' sed wants a word behind -i"
    assert re.findall(r"^.*(?<!\S)#(?!\S).*$", text, re.MULTILINE) == [], "macOS' shell takes a remark for words"


FORWARDED = [page for page in examples.PAGES if re.search(r"port-forward .* &\n", page.read_text())]


@pytest.mark.parametrize("page", FORWARDED, ids=lambda page: str(page.relative_to(examples.ROOT)))
def test_forward_of_a_page_is_waited_for_and_ended_so_that_the_next_pages_one_has_its_port(page: pathlib.Path) -> None:
    text = page.read_text()
    begun = re.search(r"port-forward .* &\n\s*(curl .*)\n", text)
    assert begun is not None
    assert "--retry-connrefused" in begun[1]
    assert "kill %1" in text[begun.end() :]


@pytest.mark.parametrize("path", examples.manifests(), ids=lambda path: path.name)
def test_digest_is_that_of_a_model_in_the_examples(path: pathlib.Path) -> None:
    known = {
        f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}": file.name
        for file in examples.EXAMPLES.rglob("*.onnx")
    }
    for item in yaml.safe_load_all(path.read_text()):
        if item["kind"] == "ModelDeployment":
            model = item["spec"]["model"]
            file = known[model["digest"]]
            assert model["uri"].startswith("configmap://") or model["uri"].endswith(f"/{file}")


def test_no_example_takes_away_what_another_one_needs() -> None:
    made = [
        (item["kind"], item["metadata"]["name"])
        for path in examples.manifests()
        for item in yaml.safe_load_all(path.read_text())
    ]
    assert sorted(set(made)) == sorted(made)


def test_every_model_has_its_origin_digest_and_licence_beside_it() -> None:
    for file in examples.EXAMPLES.rglob("*.onnx"):
        origin = (file.parent / "ORIGIN.md").read_text()
        assert hashlib.sha256(file.read_bytes()).hexdigest() in origin
        assert "Licence:" in origin
