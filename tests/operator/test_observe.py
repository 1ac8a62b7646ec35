"""What the watches have shown."""

from __future__ import annotations

from typing import Any

import pytest

from foresail_operator import live, observe, sweep
from foresail_operator.api import kinds

KEY = ("team", "fraud")


def model(version: int = 1, uid: str = "m", **more: Any) -> dict[str, Any]:
    metadata = {"name": "fraud", "namespace": "team", "uid": uid, "resourceVersion": str(version)}
    return {"metadata": metadata | {"managedFields": [{"manager": "kubectl"}]}, "spec": more}


def child(name: str = "fraud", version: int = 1, uid: str = "c", **spec: Any) -> dict[str, Any]:
    owner = {"kind": "ModelDeployment", "apiVersion": "foresail.dev/v1alpha1", "name": "fraud", "uid": "m"}
    metadata = {"name": name, "namespace": "team", "uid": uid, "resourceVersion": str(version)}
    return {"metadata": metadata | {"ownerReferences": [owner | {"controller": True}]}, "spec": spec}


def pod(name: str = "p", version: int = 1, uid: str = "p", **status: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": "team", "uid": uid, "resourceVersion": str(version)}
    metadata |= {"annotations": {"foresail.dev/model": "fraud"}, "labels": {"foresail.dev/model": "fraud"}}
    return {"metadata": metadata, "status": status}


def test_a_model_its_children_and_its_pods_come_together_under_one_key() -> None:
    cache = observe.Cache()
    assert cache.note(kinds.POD, pod()) == (KEY,)
    assert cache.note(kinds.SERVICE, child()) == (KEY,)
    assert cache.note(kinds.DEPLOYMENT, child(uid="d")) == (KEY,)
    assert cache.models() == []
    assert cache.note(kinds.MODEL_DEPLOYMENT, model()) == (KEY,)
    seen = cache.observe(KEY)
    assert seen.model is not None
    assert cache.models() == [KEY]
    assert seen.of(kinds.SERVICE, "fraud") is not None
    assert seen.of(kinds.DEPLOYMENT, "fraud") is not None
    assert [key for key, _ in cache.pods()] == [KEY]


def test_an_event_that_changes_nothing_that_is_read_asks_for_no_look() -> None:
    cache = observe.Cache()
    cache.note(kinds.SERVICE, child(version=1, type="ClusterIP"))
    later = child(version=2, type="ClusterIP")
    later["metadata"]["managedFields"] = [{"manager": "someone"}]
    assert cache.note(kinds.SERVICE, later) == ()
    assert cache.version("c") == 2


def test_an_older_event_never_wins_over_the_answer_to_a_newer_write() -> None:
    cache = observe.Cache()
    cache.note(kinds.SERVICE, child(version=5, type="new"))
    assert cache.note(kinds.SERVICE, child(version=4, type="old")) == ()
    found = cache.observe(KEY).of(kinds.SERVICE, "fraud")
    assert found is not None
    assert found.read()["spec"] == {"type": "new"}


def test_a_deleted_object_stays_deleted_whatever_comes_late() -> None:
    cache = observe.Cache()
    cache.note(kinds.POD, pod())
    assert cache.forget("p", 9) == KEY
    assert cache.note(kinds.POD, pod(version=9)) == ()
    assert cache.deleted("p")
    assert cache.observe(KEY).pods == ()
    assert cache.forget("p") is None


def test_what_a_label_took_out_of_sight_is_known_again_once_it_has_the_label_back() -> None:
    cache = observe.Cache()
    cache.note(kinds.SERVICE, child(version=1))
    cache.forget("c", 2)
    cache.forget("c")  # a list without it says so once more
    assert cache.note(kinds.SERVICE, child(version=2)) == ()
    assert cache.note(kinds.SERVICE, child(version=3)) == (KEY,)
    assert not cache.deleted("c")


def test_the_end_of_a_predecessor_does_not_take_its_successor_away() -> None:
    cache = observe.Cache()
    cache.note(kinds.MODEL_DEPLOYMENT, model(uid="old"))
    cache.note(kinds.MODEL_DEPLOYMENT, model(uid="new", version=2))
    assert cache.forget("old") is None
    assert cache.observe(KEY).model is not None
    cache.note(kinds.SERVICE, child(uid="s1"))
    cache.note(kinds.SERVICE, child(uid="s2", version=3))
    assert cache.version("s1") is None
    assert cache.version("s2") == 3


def renamed(raw: dict[str, Any], owner: str | None) -> dict[str, Any]:
    """Return a pod that says of itself, or no longer says, that it belongs to a model."""
    said = {} if owner is None else {"foresail.dev/model": owner}
    raw["metadata"] |= {"annotations": said, "labels": said}
    return raw


def test_a_pod_that_belongs_to_another_model_from_now_on_is_known_there_only_and_both_are_looked_at() -> None:
    cache = observe.Cache()
    cache.note(kinds.POD, pod(version=1))
    assert cache.note(kinds.POD, renamed(pod(version=3), "other")) == (KEY, ("team", "other"))
    assert cache.observe(KEY) == observe.Observed(None, {}, ())
    assert [key for key, _ in cache.pods()] == [("team", "other")]
    assert cache.note(kinds.POD, pod(version=2)) == (), "that it is the first one's is old news"
    assert (cache.version("p"), cache.deleted("p")) == (3, False)
    assert cache.forget("p", 4) == ("team", "other")
    assert not cache._entries


def test_a_child_that_belongs_to_no_model_any_more_is_gone_until_it_belongs_to_one_again() -> None:
    cache = observe.Cache()
    cache.note(kinds.POD, pod(version=1))
    assert cache.note(kinds.POD, renamed(pod(version=2), None)) == (KEY,)
    assert cache.observe(KEY).pods == ()
    assert cache.uids(kinds.POD) == []
    assert cache.note(kinds.POD, pod(version=1)) == ()
    assert cache.note(kinds.POD, renamed(pod(version=3), None)) == ()
    assert cache.note(kinds.POD, pod(version=4)) == (KEY,)
    assert [one.version for one in cache.observe(KEY).pods] == [4]


@pytest.mark.parametrize("labels", [{}, {"foresail.dev/model": "fraud-aside"}], ids=["taken off", "changed"])
def test_a_pod_that_somebody_set_aside_by_its_label_is_none_of_the_models(labels: dict[str, str]) -> None:
    cache = observe.Cache()
    cache.note(kinds.POD, pod(version=1))
    aside = pod(version=2)
    aside["metadata"]["labels"] = labels
    assert cache.note(kinds.POD, aside) == (KEY,)
    assert cache.observe(KEY).pods == ()


def test_a_proxy_is_known_by_the_label_that_proxies_have() -> None:
    cache = observe.Cache()
    proxy = pod()
    proxy["metadata"]["labels"] = {"foresail.dev/proxy": "fraud"}
    assert cache.note(kinds.POD, proxy) == (KEY,)
    assert len(cache.observe(KEY).proxies) == 1


def test_memory_is_given_back_when_the_last_object_of_a_key_goes() -> None:
    cache = observe.Cache()
    cache.note(kinds.MODEL_DEPLOYMENT, model())
    cache.note(kinds.SERVICE, child())
    for uid in ("m", "c"):
        assert cache.forget(uid) == KEY
    assert cache.observe(KEY) == observe.Observed(None, {}, ())
    assert not cache._entries


def test_deletions_are_remembered_up_to_a_bound() -> None:
    cache = observe.Cache()
    for number in range(5000):
        cache.forget(f"u{number}")
    assert not cache.deleted("u0")
    assert cache.deleted("u4999")


def test_what_is_not_ours_is_not_kept() -> None:
    cache = observe.Cache()
    stranger = child()
    stranger["metadata"]["ownerReferences"][0]["kind"] = "Application"
    assert cache.note(kinds.SERVICE, stranger) == ()
    assert cache.version("c") is None


def test_only_what_is_read_is_kept_of_an_object() -> None:
    kept = live.trim(model(version=3, model={"uri": "x"})).read()
    assert kept == {
        "metadata": {"name": "fraud", "namespace": "team", "uid": "m"},
        "spec": {"model": {"uri": "x"}},
    }


def test_whether_we_own_the_size_is_read_from_the_managed_fields() -> None:
    def owns(manager: str, operation: str, fields: dict[str, Any]) -> bool:
        raw = child()
        raw["metadata"]["managedFields"] = [
            {"manager": manager, "operation": operation, "fieldsV1": {"f:spec": fields}}
        ]
        return live.trim(raw).owns_size

    assert owns("foresail", "Apply", {"f:replicas": {}})
    assert not owns("foresail", "Apply", {"f:template": {}})
    assert not owns("foresail-size", "Apply", {"f:replicas": {}})
    assert not owns("kube-controller-manager", "Update", {"f:replicas": {}})


def test_a_sweep_finds_what_no_event_told() -> None:
    cache = observe.Cache()
    cache.note(kinds.SERVICE, child(uid="kept", version=3))
    cache.note(kinds.SERVICE, child(name="x", uid="behind", version=3))
    cache.note(kinds.SERVICE, child(name="y", uid="gone", version=3))
    cache.note(kinds.SERVICE, child(name="z", uid="made since", version=9))
    before = frozenset({"kept", "behind", "gone"})
    found = sweep.compare(cache, kinds.SERVICE, {"kept": 3, "behind": 4, "unknown": 5}, before)
    assert found == sweep.Difference({"behind": 4, "unknown": 5}, frozenset({"gone"}))
    assert sweep.drop(cache, found) == {KEY}
    cache.note(kinds.SERVICE, child(name="x", uid="behind", version=4))
    assert sweep.still_behind(cache, found) == {"unknown": 5}
    cache.forget("unknown")
    assert sweep.still_behind(cache, found) == {}
