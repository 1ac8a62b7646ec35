"""The operator's settings."""

from __future__ import annotations

import pytest

from foresail_operator import settings
from foresail_operator.errors import SettingsError


def test_nothing_needs_to_be_set() -> None:
    chosen = settings.from_environment({})
    assert chosen.namespaces == ()
    assert chosen.http_port == 8080
    assert chosen.pod_name != settings.from_environment({}).pod_name


def test_every_variable_of_the_help_is_read_and_empty_ones_count_as_absent() -> None:
    given = {
        "FORESAIL_NAMESPACES": " a, b ,",
        "FORESAIL_RUNTIME_IMAGE": "i",
        "FORESAIL_RUNTIME_IMAGE_OPENVINO": "o",
        "FORESAIL_RUNTIME_IMAGE_GPU": "g",
        "FORESAIL_RUNTIME_PULL_POLICY": "Never",
        "FORESAIL_PROXY_IMAGE": "h",
        "FORESAIL_PROXY_PULL_POLICY": "Always",
        "FORESAIL_CLUSTER_DOMAIN": "example.test",
        "FORESAIL_POD_NAME": "p",
        "FORESAIL_POD_NAMESPACE": "n",
        "FORESAIL_LEASE_NAME": "l",
        "FORESAIL_HTTP_HOST": "127.0.0.1",
        "FORESAIL_HTTP_PORT": "1",
        "FORESAIL_METRICS_SERVICE": "m",
        "FORESAIL_METRICS_PORT": "3",
        "FORESAIL_ACTIVATOR_SERVICE": "a",
        "FORESAIL_HOLD_SECONDS": "4",
        "FORESAIL_WAKE_NAME": "w",
        "FORESAIL_WORKERS": "2",
        "FORESAIL_LOG_LEVEL": "DEBUG",
    }
    assert set(given) | {"KUBECONFIG"} == set(settings.HELP)
    assert settings.from_environment(given) == settings.Settings(
        namespaces=("a", "b"),
        runtime_image="i",
        runtime_image_openvino="o",
        runtime_image_gpu="g",
        runtime_pull_policy="Never",
        proxy_image="h",
        proxy_pull_policy="Always",
        cluster_domain="example.test",
        pod_name="p",
        pod_namespace="n",
        lease_name="l",
        http_host="127.0.0.1",
        http_port=1,
        metrics_service="m",
        metrics_port=3,
        activator_service="a",
        hold_seconds=4,
        wake_name="w",
        workers=2,
        log_level="DEBUG",
    )
    assert settings.from_environment({"FORESAIL_HTTP_PORT": " "}).http_port == 8080
    assert settings.from_environment({"KUBERNETES_SERVICE_HOST": "fd00:10:96::1"}).ipv6
    assert not settings.from_environment({"KUBERNETES_SERVICE_HOST": "10.96.0.1"}).ipv6


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FORESAIL_NAMESPACES", "Not_A_Name"),
        ("FORESAIL_HTTP_PORT", "http"),
        ("FORESAIL_HTTP_PORT", "70000"),
        ("FORESAIL_WORKERS", "0"),
        ("FORESAIL_LOG_LEVEL", "LOUD"),
        ("FORESAIL_RUNTIME_PULL_POLICY", "always"),
    ],
)
def test_a_value_that_can_not_be_used_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        settings.from_environment({name: value})
