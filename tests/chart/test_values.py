"""Values that the schema refuses, each with words that name the value."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.chart.charts import CHART, ROOT, Helm

REFUSED = {
    "a name that does not exist": ("replicaCount=2", "additional properties 'replicaCount' not allowed"),
    "a typo inside a section": ("image.tga=1", "at '/image': additional properties 'tga' not allowed"),
    "no replicas": ("replicas=0", "at '/replicas': minimum: got 0, want 1"),
    "a number as text": ("replicas=many", "at '/replicas': got string, want integer"),
    "a pull policy of its own": ("image.pullPolicy=Sometimes", "at '/image/pullPolicy': value must be one of"),
    "a namespace in capitals": ("watchNamespaces={Fraud}", "at '/watchNamespaces/0'"),
    "a digest that is none": ("image.digest=sha256:12", "at '/image/digest'"),
    "a log level": ("logLevel=loud", "at '/logLevel': value must be one of 'debug', 'info', 'warning', 'error'"),
    "a tag in a registry": ("image.registry=https//x y", "at '/image/registry'"),
}


@pytest.mark.parametrize(("setting", "words"), REFUSED.values(), ids=REFUSED)
def test_bad_value_is_refused_and_named(helm: Helm, setting: str, words: str) -> None:
    done = helm.run("template", "foresail", CHART, "--set", setting)
    assert done.returncode != 0
    assert words in done.stderr


def test_every_value_is_in_the_schema_with_its_default_accepted(helm: Helm) -> None:
    values = yaml.safe_load((ROOT / CHART / "values.yaml").read_text())
    schema = json.loads((ROOT / CHART / "values.schema.json").read_text())
    assert set(values) | {"global"} == set(schema["properties"])
    assert schema["additionalProperties"] is False
