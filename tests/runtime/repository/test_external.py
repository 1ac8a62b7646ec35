"""External data: names are read from the bytes, and only files in the model's own folder are opened."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest

from foresail_runtime import errors
from foresail_runtime.repository import external

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable


def tensor(location: str | None, name: str = "w") -> onnx.TensorProto:
    made = onnx.numpy_helper.from_array(np.ones(4, np.float32), name)
    if location is not None:
        made.ClearField("raw_data")
        made.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", "0"), ("length", "16")):
            made.external_data.add(key=key, value=value)
    return made


def save(path: pathlib.Path, location: str | None, where: str = "initializer") -> pathlib.Path:
    weights = tensor(location)
    constant = onnx.helper.make_node("Constant", [], ["w"], value=weights)
    inner = onnx.helper.make_graph([constant], "inner", [], [])
    nodes: list[onnx.NodeProto] = [onnx.helper.make_node("Add", ["x", "w"], ["y"])]
    if where == "constant":
        nodes.insert(0, constant)
    if where == "subgraph":
        nodes.append(onnx.helper.make_node("If", ["c"], [], then_branch=inner, else_branch=inner))
    floats = [[onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [4])] for name in ("x", "y")]
    graph = onnx.helper.make_graph(
        nodes, "g", floats[0], floats[1], initializer=[weights] if where == "initializer" else []
    )
    model: Any = onnx.helper.make_model(graph)
    if where == "function":
        model.functions.append(onnx.helper.make_function("d", "f", [], ["w"], [constant], []))
    if where == "default":
        default = onnx.helper.make_attribute("value", weights)
        model.functions.append(onnx.helper.make_function("d", "f", [], ["w"], [], [], attribute_protos=[default]))
    path.write_bytes(model.SerializeToString())
    return path


PLACES = ["initializer", "constant", "subgraph", "function", "default"]
OUTSIDE = ["../secret", "/etc/passwd", "a/../../secret", "..", "C:\\secret", "a\\..\\..\\secret", ""]


@pytest.mark.parametrize(("where", "location"), list(itertools.product(PLACES, OUTSIDE)), ids=str)
def test_a_file_outside_the_folder_is_refused_wherever_it_is_named(
    tmp_path: pathlib.Path, where: str, location: str
) -> None:
    with pytest.raises(errors.ModelUnusable, match="outside the model's folder") as caught:
        external.check(save(tmp_path / "m.onnx", location, where))
    assert caught.value.reason == "ExternalDataOutside"


def test_a_link_that_leads_outside_is_refused(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(16))
    (folder / "weights").symlink_to(tmp_path / "secret")
    with pytest.raises(errors.ModelUnusable, match="a link that leads outside"):
        external.check(save(folder / "m.onnx", "weights"))


def test_a_file_that_is_not_there_is_told_with_the_way_out(tmp_path: pathlib.Path) -> None:
    with pytest.raises(errors.ModelUnusable, match="save the model as one file") as caught:
        external.check(save(tmp_path / "m.onnx", "weights.bin"))
    assert caught.value.reason == "ExternalDataMissing"


@pytest.mark.parametrize("where", PLACES)
def test_files_beside_the_model_are_fine(tmp_path: pathlib.Path, where: str) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "weights").write_bytes(bytes(16))
    external.check(save(tmp_path / "m.onnx", "parts/weights", where))
    external.check(save(tmp_path / "n.onnx", None, where))


def test_a_mounted_configmap_links_within_its_folder(tmp_path: pathlib.Path) -> None:
    version = tmp_path / "..2026"
    version.mkdir()
    (version / "weights").write_bytes(bytes(16))
    save(version / "m.onnx", "weights")
    (tmp_path / "..data").symlink_to("..2026")
    for name in ("m.onnx", "weights"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    external.check(tmp_path / "m.onnx")


GROUP = b"\xf3\x07\x0a\x02ab\xfb\x07\x08\x01\xfc\x07\xf4\x07"
"""A field 126 in protobuf's oldest way, a group: within it a text, and another group with a number."""
ODDLY: dict[str, Callable[[bytes], bytes]] = {
    "behind a group": lambda data: GROUP + data,
    "before a group": lambda data: data + GROUP,
    "behind a field with bits past the 32nd": lambda data: data.replace(b"\x3a", b"\xba\x80\x80\x80\x10", 1),
    "before a group without an end": lambda data: data + b"\xf3\x07",
    "before the end of no group": lambda data: data + b"\xf4\x07",
    "before the end of another group": lambda data: data + b"\xf3\x07\xfc\x07",
    "before too many groups": lambda data: data + b"\xf3\x07" * 200 + b"\xf4\x07" * 200,
    "before half a field": lambda data: data + b"\x3a\x05a",
    "behind a wire type that is none": lambda data: b"\x0e" + data,
}


@pytest.mark.parametrize("oddly", ODDLY.values(), ids=ODDLY.keys())
def test_bytes_that_another_reader_may_understand_do_not_hide_a_file_outside(
    tmp_path: pathlib.Path, oddly: Callable[[bytes], bytes]
) -> None:
    path = save(tmp_path / "m.onnx", "../secret")
    path.write_bytes(oddly(path.read_bytes()))
    with pytest.raises(errors.ModelUnusable) as caught:
        external.check(path)
    assert caught.value.reason in ("ExternalDataOutside", "ModelInvalid")


def test_a_group_is_passed_over_and_what_it_holds_is_no_field_of_the_model(tmp_path: pathlib.Path) -> None:
    inner = save(tmp_path / "m.onnx", None).read_bytes()
    hidden = b"\xf3\x07" + save(tmp_path / "n.onnx", "weights").read_bytes() + b"\xf4\x07"
    assert list(external.locations(inner + hidden)) == []
    assert list(external.locations(hidden + save(tmp_path / "n.onnx", "weights").read_bytes())) == ["weights"]


@pytest.mark.parametrize(
    "data", [b"", b"<html>", b"\xff" * 100, b"\x3a\xff\xff\xff\xff\x0f"], ids=["empty", "html", "ff", "length"]
)
def test_what_is_no_model_is_left_to_the_engine(tmp_path: pathlib.Path, data: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    external.check(path)


def test_real_models_are_walked_whole(mlp: pathlib.Path, nanodet: pathlib.Path) -> None:
    for path in (mlp, nanodet):
        assert list(external.locations(path.read_bytes())) == []
        model = onnx.load(path)
        model.graph.initializer.append(tensor("last.bin", "last"))
        assert list(external.locations(model.SerializeToString())) == ["last.bin"]
