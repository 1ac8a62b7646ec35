"""The whole policy against simulated load: reaction, calm and thrift, each over seeds that nobody tuned on."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest

from bench.simulate import traces
from bench.simulate.__main__ import FULL, PODS, compete, load_of, refuse
from bench.simulate.ours import Foresail
from bench.simulate.world import play

if TYPE_CHECKING:
    from bench.simulate.world import Run

CALM_SECONDS = 60.0


def run(shape: str, pod: str, seed: int) -> Run:
    setting = PODS[pod]
    return play(load_of(shape, setting, seed), setting, Foresail(setting), np.random.default_rng(seed + 1000))


def undone(run: Run) -> int:
    """Count the changes of size that the next change took back within CALM_SECONDS."""
    steps = np.diff(run.paid)
    at = np.nonzero(steps)[0]
    pairs = itertools.pairwise(at)
    return sum(bool(steps[a] * steps[b] < 0) and bool((b - a) * traces.STEP_SECONDS < CALM_SECONDS) for a, b in pairs)


@pytest.mark.parametrize("pod", PODS)
@pytest.mark.parametrize("seed", range(200, 206))
def test_ten_minutes_of_noise_undo_no_change_within_a_minute(pod: str, seed: int) -> None:
    assert undone(run("noise", pod, seed)) == 0


@pytest.mark.parametrize(("pod", "seed"), [("slow", 618), ("slow", 626), ("slow", 630), ("small", 602), ("small", 639)])
def test_nor_does_noise_that_comes_close_to_a_change_of_load(pod: str, seed: int) -> None:
    assert undone(run("noise", pod, seed)) == 0


@pytest.mark.parametrize("pod", PODS)
def test_a_step_from_one_to_four_is_asked_for_within_three_seconds(pod: str) -> None:
    seen = run("step", pod, 300)
    rise = round(120 / traces.STEP_SECONDS)
    assert seen.paid[rise - 1] <= 2
    assert seen.paid[rise + round(3 / traces.STEP_SECONDS)] >= seen.need[rise]


@pytest.mark.parametrize("seed", range(300, 304))
def test_the_queue_that_piles_up_in_a_step_asks_for_nobody_that_the_load_does_not(seed: int) -> None:
    seen = run("step", "quick", seed)
    assert seen.over < 0.2 * seen.needed  # half as much again while the queue's length counted
    assert seen.waiting[-1000:].max() == 0, "and it was drained"


def test_a_queue_of_few_requests_leaves_no_more_replicas_behind_than_the_load_needs() -> None:
    seen = [run("step", "small", seed) for seed in range(500, 504)]
    assert sum(one.over for one in seen) < 0.36 * sum(
        one.needed for one in seen
    )  # 0.48 while such a queue told nothing


@pytest.mark.parametrize("shape", ["ramp", "poisson"])
def test_it_beats_the_hpa_on_cpu_and_knatives_algorithm(shape: str) -> None:
    setting = PODS["quick"]
    runs = compete(load_of(shape, setting, 301), setting, 301)
    assert runs["foresail"].score < min(runs["cpu"].score, runs["knative"].score)
    assert runs["ideal"].under == 0


@pytest.mark.parametrize("seed", range(300, 304))
def test_bursts_that_are_refused_get_replicas_within_seconds_and_those_go_when_the_bursts_have(seed: int) -> None:
    seen = refuse(Foresail(FULL), seed)  # refused to the end, more than a hundred times each, while that was no load
    begin, end = round(120 / traces.STEP_SECONDS), round(420 / traces.STEP_SECONDS)
    assert set(seen.paid[: begin - 1]) == {1}
    assert seen.paid[begin + round(5 / traces.STEP_SECONDS)] >= 2
    assert seen.refused[begin:].sum() > 0
    assert seen.refused[begin + round(20 / traces.STEP_SECONDS) :].sum() < 0.001 * seen.load[begin:end].sum()
    assert seen.paid.max() <= 6, "of twenty"
    assert seen.paid[end + round(60 / traces.STEP_SECONDS) :].max() == 1
    assert seen.changes <= 6
