"""What a request may ask of a picture task, and what is refused."""

from __future__ import annotations

import pytest

from foresail_runtime import errors
from foresail_runtime.tasks import labels, options

NAMES = labels.Labels({0: "person", 1: "dining table", 2: "tench, Tinca tinca"})


def test_a_request_that_asks_nothing_gets_the_defaults() -> None:
    assert options.detection({}, NAMES) == options.DetectionOptions(0.35, 0.5, 300, None, "json")
    assert options.classification({}, NAMES) == options.ClassificationOptions(0.0, 5, None)


def test_every_option_of_a_detection_is_read() -> None:
    query = {"confidence": "0", "iou": "1", "top_k": "7", "classes": "Person, 17", "format": "png"}
    assert options.detection(query, NAMES) == options.DetectionOptions(0.0, 1.0, 7, frozenset({0, 17}), "png")


def test_a_name_with_a_comma_is_one_class() -> None:
    assert options.classification({"classes": "tench, tinca tinca"}, NAMES).classes == frozenset({2})


def test_a_name_that_several_classes_have_is_all_of_them() -> None:
    cranes = labels.Labels({134: "crane", 7: "Crane", 1: "tench"})
    assert options.classification({"classes": "crane"}, cranes).classes == frozenset({7, 134})
    assert options.classification({"classes": "crane,tench"}, cranes).classes == frozenset({1, 7, 134})


def test_a_class_beyond_the_last_is_refused_where_the_model_says_how_many_it_has() -> None:
    known = labels.Labels({0: "cat"}, 80)
    assert options.detection({"classes": "79"}, known).classes == frozenset({79})
    with pytest.raises(errors.InvalidRequest, match="holds 80, and this model's classes go from 0 to 79"):
        options.detection({"classes": "cat,80"}, known)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"confidence": "1.1"}, "confidence is '1.1': write a number from 0 to 1"),
        ({"confidence": "-0.1"}, "from 0 to 1"),
        ({"confidence": "nan"}, "from 0 to 1"),
        ({"confidence": ""}, "from 0 to 1"),
        ({"iou": "half"}, "iou is 'half'"),
        ({"top_k": "0"}, "top_k is '0': write a whole number from 1"),
        ({"top_k": "-3"}, "top_k"),
        ({"top_k": "1.5"}, "top_k"),
        ({"top_k": "9" * 5000}, "top_k"),
        ({"top_k": "٣"}, "top_k"),
        ({"classes": "persn"}, "'persn', which is no class of this model: it has 3 names, among them person"),
        ({"classes": ""}, "classes"),
        ({"classes": "person,"}, "classes"),
        ({"format": "gif"}, "format is 'gif': it is one of json, png"),
        ({"conf": "0.5"}, "'conf' is unknown here: the options are confidence, iou"),
    ],
)
def test_bad_options_are_refused_with_the_fix(query: dict[str, str], message: str) -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        options.detection(query, NAMES)
    assert message in caught.value.message


def test_a_classification_knows_no_overlap() -> None:
    with pytest.raises(
        errors.InvalidRequest, match="'iou' is unknown here: the options are confidence, top_k, classes"
    ):
        options.classification({"iou": "0.5"}, NAMES)


def test_a_model_without_names_takes_ids() -> None:
    assert options.detection({"classes": "3,4"}, labels.Labels({})).classes == frozenset({3, 4})
    with pytest.raises(errors.InvalidRequest, match="it names none, use ids"):
        options.detection({"classes": "person"}, labels.Labels({}))
