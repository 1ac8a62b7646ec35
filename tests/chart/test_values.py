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
    "a label that selectors have": ("podLabels.app\\.kubernetes\\.io/name=x", "app.kubernetes.io~1name': false schema"),
    "no image": ("image=null", "missing property 'image'"),
    "no metrics": ("metrics=null", "missing property 'metrics'"),
    "no Service of metrics": ("metrics.service=null", "at '/metrics': missing property 'service'"),
    "no runtime's image": ("runtime.image=null", "at '/runtime': missing property 'image'"),
    "no rights": ("rbac=null", "missing property 'rbac'"),
    "no budget": ("podDisruptionBudget=null", "missing property 'podDisruptionBudget'"),
    "no repository": ("image.repository=null", "at '/image': missing property 'repository'"),
    "no registry": ("image.registry=null", "at '/image': missing property 'registry'"),
    "no runtime's repository": ("runtime.image.repository=null", "at '/runtime/image': missing property 'repository'"),
    "no proxy's repository": ("proxy.image.repository=null", "at '/proxy/image': missing property 'repository'"),
    "no proxy's image": ("proxy.image=null", "at '/proxy': missing property 'image'"),
    "no word on an account": ("serviceAccount.create=null", "at '/serviceAccount': missing property 'create'"),
    "an address as a registry": ("image.registry=https://registry.example.com", "at '/image/registry'"),
    "an address as an image": ("runtime.images.gpu=https://registry.example.com/x", "at '/runtime/images/gpu'"),
    "an image with a blank": ("runtime.images.cpu=a b", "at '/runtime/images/cpu'"),
    "a tag in a registry": ("image.registry=https//x y", "at '/image/registry'"),
}


@pytest.mark.parametrize(("setting", "words"), REFUSED.values(), ids=REFUSED)
def test_bad_value_is_refused_and_named(helm: Helm, setting: str, words: str) -> None:
    done = helm.run("template", "foresail", CHART, "--set", setting)
    assert done.returncode != 0
    assert words in done.stderr


@pytest.mark.parametrize(
    "setting",
    [
        "image.registry=",
        "image.registry=localhost:5000",
        "image.registry=registry.example.com:5000/Team/a_b.c/",
        "image.registry=10.0.0.1:5000/x",
        "runtime.images.gpu=registry.example.com:5000/x/runtime:1@sha256:12",
        "runtime.image.tag=null",
        "image.digest=null",
    ],
)
def test_value_that_was_always_good_stays_so(helm: Helm, setting: str) -> None:
    done = helm.run("template", "foresail", CHART, "--set", setting)
    assert done.returncode == 0, done.stderr


def test_what_may_be_empty_may_be_null_and_a_releases_dot_gets_into_no_name(helm: Helm) -> None:
    nothing = ("podAnnotations", "podLabels", "runtime.images", "proxy", "metricsApi", "tolerations", "affinity")
    nulls = [word for name in nothing for word in ("--set", f"{name}=null")]
    done = helm.run("template", "my.release", CHART, *nulls)
    assert done.returncode == 0, done.stderr
    found = [one["metadata"]["name"] for one in yaml.safe_load_all(done.stdout) if one and one["kind"] == "Service"]
    assert found
    assert all("." not in name for name in found)


def test_every_value_is_in_the_schema_with_its_default_accepted(helm: Helm) -> None:
    values = yaml.safe_load((ROOT / CHART / "values.yaml").read_text())
    schema = json.loads((ROOT / CHART / "values.schema.json").read_text())
    assert set(values) | {"global"} == set(schema["properties"])
    assert schema["additionalProperties"] is False
