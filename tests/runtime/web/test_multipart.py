"""Forms: the picture is found among the parts, and what is no form is refused."""

from __future__ import annotations

import tracemalloc

import pytest

from foresail_runtime import errors
from foresail_runtime.web import multipart

TYPE = 'multipart/form-data; boundary="b-1"'


def form(*parts: tuple[str, bytes], end: bytes = b"--b-1--\r\n") -> bytes:
    return b"".join(b"--b-1\r\n" + head.encode() + b"\r\n\r\n" + data + b"\r\n" for head, data in parts) + end


FIELD = 'Content-Disposition: form-data; name="a"'
FILE = 'Content-Disposition: form-data; name="a"; filename="a.png"\r\nContent-Type: image/png'


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("image/png", b"data", b"data"),
        ("", b"data", b"data"),
        ("rubbish;;;", b"data", b"data"),
        (TYPE, form((FIELD, b"one")), b"one"),
        (TYPE, form((FIELD, b"one"), (FILE, b"two")), b"two"),
        (TYPE, form((FILE, b"\r\n\r\n--b-\r\n")), b"\r\n\r\n--b-\r\n"),
        (TYPE, form((FILE, b"\r\n--b-12\r\n")), b"\r\n--b-12\r\n"),
        (TYPE, form(('Content-Disposition: form-data; name="filename"', b"one"), (FILE, b"two")), b"two"),
        (TYPE, b"--b-1 \t\r\n" + FILE.encode() + b"\r\n\r\ntwo\r\n--b-1-- \r\nepilogue", b"two"),
        (TYPE, b"--b-1\r\n\r\ntwo\r\n--b-1--", b"two"),
        (TYPE, b"preamble\r\n" + form((FILE, b"two")), b"two"),
    ],
    ids=[
        "no form",
        "no type",
        "a type that is none",
        "a field",
        "a file after a field",
        "binary",
        "a line like a boundary",
        "a field called filename",
        "spaces after a boundary",
        "a part without headers",
        "a preamble",
    ],
)
def test_the_first_file_is_the_picture(content_type: str, body: bytes, expected: bytes) -> None:
    assert multipart.read(content_type, body, ()) == (expected, {})


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", form((FILE, b"x"))),
        (TYPE, b""),
        (TYPE, form((FILE, b"x"), end=b"")),
        (TYPE, form()),
        (TYPE, b"--b-1\r\nno end of headers\r\n--b-1--"),
        (TYPE, form(*[(FIELD, b"x")] * 100)),
    ],
    ids=["no boundary", "empty", "cut off", "no parts", "no headers", "too many parts"],
)
def test_a_form_that_is_none_is_refused(content_type: str, body: bytes) -> None:
    with pytest.raises(errors.InvalidRequest):
        multipart.read(content_type, body, ())


def test_so_many_parts_are_read_and_no_more() -> None:
    parts = [(FILE, b"picture"), *[(FIELD, b"x")] * (multipart.MAX_PARTS - 1)]
    assert multipart.read(TYPE, form(*parts), ()).picture == b"picture"
    with pytest.raises(errors.InvalidRequest, match="the form has more than 64 parts: send one picture"):
        multipart.read(TYPE, form(*parts, (FIELD, b"x")), ())


def test_a_form_of_tiny_parts_is_not_taken_apart_to_be_refused() -> None:
    body = b"\r\n--b-1\r\nX" * 100_000
    tracemalloc.start()
    with pytest.raises(errors.InvalidRequest, match="more than 64 parts"):
        multipart.read(TYPE, body, ())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2.5 * len(body)


def option(name: str) -> str:
    return f'Content-Disposition: form-data; name="{name}"'


def test_fields_called_as_options_are_options_and_others_left_aside() -> None:
    body = form((option("iou"), b"0.5"), (FILE, b"picture"), (option("note"), b"x"), (option("classes"), "é".encode()))
    assert multipart.read(TYPE, body, ("iou", "classes")) == (b"picture", {"iou": "0.5", "classes": "é"})


def test_without_a_file_the_first_field_that_is_no_option_is_the_picture() -> None:
    body = form((option("iou"), b"0.5"), (option("image"), b"picture"))
    assert multipart.read(TYPE, body, ("iou",)) == (b"picture", {"iou": "0.5"})
    assert multipart.read(TYPE, form((option("iou"), b"0.5")), ("iou",)) == (b"", {"iou": "0.5"})


def test_a_file_that_nobody_chose_is_none() -> None:
    empty = 'Content-Disposition: form-data; name="b"; filename=""'
    assert multipart.read(TYPE, form((empty, b""), (FILE, b"two")), ()).picture == b"two"


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([(FILE, b"one"), (FILE, b"two")], "more than one file: send one picture a request"),
        ([(FILE, b"one"), (option("iou"), b"0.5"), (option("iou"), b"0.6")], "the option iou twice"),
        ([(FILE, b"one"), (option("iou"), bytes(8193))], "iou has 8193 bytes: at most 8192"),
    ],
)
def test_what_could_be_either_is_refused(parts: list[tuple[str, bytes]], words: str) -> None:
    with pytest.raises(errors.InvalidRequest, match=words):
        multipart.read(TYPE, form(*parts), ("iou",))
