"""A model's settings, from our own file and from Triton's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from foresail_runtime import errors
from foresail_runtime.contract import Batching
from foresail_runtime.repository import config, prototext
from foresail_runtime.repository.config import Config
from foresail_runtime.repository.layout import Names, Policy

TRITON = """
# as its documentation has it
name: "m"
platform: "onnxruntime_onnx"
max_batch_size : 8
input [ { name: "x" data_type: TYPE_FP32 dims: [ 3, -1 ] reshape { shape: [ ] } } ]
dynamic_batching { preferred_batch_size: [ 4, 8 ], max_queue_delay_microseconds: 500 }
instance_group [ { count: 2 kind: KIND_CPU }, { kind: KIND_GPU gpus: [ 0 ] } ]
version_policy: { specific: { versions: [1, 3] } }
parameters: { key: "a" value: { string_value: "one " "two\\n" } }
parameters { key: 'b' value < string_value: "it's" > };
default_model_filename: "net.onnx"
"""


def test_what_maps_of_triton_s_settings_is_read() -> None:
    expected = Config(Policy(None, ("1", "3")), Names(), "net.onnx", {"batching": Batching(8, 0.5), "instances": 3})
    assert config.read("m", None, TRITON) == expected


def test_any_message_of_the_format_is_read() -> None:
    found = prototext.parse(TRITON)
    assert found["input"] == [{"name": "x", "data_type": "TYPE_FP32", "dims": [3, -1], "reshape": {"shape": []}}]
    assert found["parameters"] == [
        {"key": "a", "value": {"string_value": "one two\n"}},
        {"key": "b", "value": {"string_value": "it's"}},
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: {", "line 1: a field's name is expected, not the end"),
        ("name 3", "line 1: a colon is expected after 'name'"),
        ("a: 1\nb: @", "line 2: '@' has no place here"),
        ("a: }", "line 1: a value is expected, not '}'"),
        ("a: " + "[" * 40, "too many messages in messages"),
        ("a: 1.2.3", "'1.2.3' is no number"),
        ('name: "other"', "is for model 'other', and lies in the folder of 'm'"),
        ('platform: "tensorrt_plan"', "asks for platform 'tensorrt_plan': this server runs ONNX models"),
        ("instance_group { count: 0 }", "each of its counts a whole number from 1 up"),
        ("instance_group: [ 2 ]", "each of its counts a whole number from 1 up"),
        ('max_batch_size: "x"', "max_batch_size is 'x'"),
        ('dynamic_batching { max_queue_delay_microseconds: "x" }', "max_queue_delay_microseconds is 'x'"),
        ("dynamic_batching { max_queue_delay_microseconds: -5 }", "not a whole number from 0 up"),
        ("default_model_filename: 5", "not the name of a file in a version's folder"),
        ('default_model_filename: "../../other/1/model.onnx"', "not the name of a file in a version's folder"),
        ("version_policy: { newest: {} }", "neither latest, all nor specific"),
    ],
)
def test_triton_s_settings_that_make_no_sense_are_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(errors.ModelUnusable) as caught:
        config.read("m", None, text)
    assert caught.value.reason == "DescriptionInvalid"
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("version_policy { all { } }", Policy(None)),
        ("version_policy { latest { num_versions: 3 } }", Policy(3)),
        ("version_policy { latest { } }", Policy(1)),
        ("version_policy { specific { versions: 4 versions: 5 } }", Policy(None, ("4", "5"))),
        ("", Policy(1)),
    ],
)
def test_each_policy_of_triton_s_is_known(text: str, expected: Policy) -> None:
    assert config.read("m", None, text).policy == expected


def test_our_own_settings_have_the_last_word() -> None:
    own = {
        "versions": 2,
        "default": "stable",
        "labels": {"stable": 1, "canary": "2"},
        "file": "own.onnx",
        "task": "tensors",
        "batching": {"maxSize": 4},
        "maxQueueSize": 10,
        "timeoutSeconds": 1.5,
        "warmupData": "zeros",
        "instances": 2,
        "executionProviders": ["CPUExecutionProvider"],
    }
    found = config.read("m", json.dumps(own), TRITON)
    assert (found.policy, found.file) == (Policy(2), "own.onnx")
    assert found.names == Names("stable", {"stable": "1", "canary": "2"})
    described = found.describe("m", "2", "/models/m/2/own.onnx")
    assert (described.version, described.path) == ("2", "/models/m/2/own.onnx")
    assert described.batching == Batching(4, 0)
    assert (described.max_queue_size, described.timeout_seconds, described.warmup_data) == (10, 1.5, "zeros")
    assert described.instances == 2


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ("{", "is not JSON"),
        ([], "is not a JSON object"),
        ({"version": 1}, "has 'version', which is no setting of a model"),
        ({"versions": 0}, "how many of the newest"),
        ({"versions": True}, "how many of the newest"),
        ({"versions": ["a"]}, "how many of the newest"),
        ({"labels": {"1": "2"}}, "a word is no number"),
        ({"labels": {"stable": "new"}}, "a word is no number"),
        ({"default": "stable"}, "neither a version nor one of the labels"),
        ({"file": "../net.onnx"}, "not the name of a file"),
        ({"task": "sing"}, "it has to be one of auto, tensors"),
        ({"warmup": "yes"}, "it has to be true or false"),
        ({"warmupData": "../../etc/passwd"}, "a file in the version's folder"),
        ({"batching": {"size": 1}}, "maxSize and maxDelayMilliseconds"),
        ({"batching": {"maxSize": 0}}, "a whole number from 1 to 65536"),
        ({"timeoutSeconds": True}, "a number from 0.001"),
        ({"executionProviders": "CPU"}, "a list of ONNX Runtime's provider names"),
    ],
)
def test_own_settings_that_make_no_sense_are_refused_in_words(own: Any, words: str) -> None:
    with pytest.raises(errors.ModelUnusable) as caught:
        config.read("m", own if isinstance(own, str) else json.dumps(own), None)
    assert caught.value.reason == "DescriptionInvalid"
    assert words in caught.value.message
