import pytest

from foresail_operator.scaling import signal
from foresail_runtime.contract import LATENCY_BUCKETS_SECONDS, LATENCY_COUNTS, Load


def load(in_flight: int = 0, queued: int = 0, requests: int = 0, load_seconds: float = 0.0) -> Load:
    return Load("ready", in_flight, queued, requests, load_seconds)


def rate(at: float, concurrency: float, rps: float = 0.0) -> signal.PodRate:
    return signal.PodRate(at, concurrency, 0.0, rps)


def test_two_looks_give_the_exact_mean_between_them_and_not_a_snapshot() -> None:
    before, after = (
        load(in_flight=0, requests=100, load_seconds=50.0),
        load(in_flight=0, requests=140, load_seconds=52.0),
    )
    compared = signal.compare(before, after, seconds=0.5, now=7.0)
    assert compared == signal.PodRate(at=7.0, concurrency=4.0, queued=0, requests_per_second=80.0)


def test_a_pod_that_restarted_counts_with_what_it_holds_now() -> None:
    compared = signal.compare(load(requests=100, load_seconds=9.0), load(2, 1, 3, 0.5), seconds=0.5, now=7.0)
    assert (compared.concurrency, compared.queued, compared.requests_per_second) == (3, 1, 0.0)


def test_the_first_look_counts_with_what_the_pod_holds() -> None:
    assert signal.compare(None, load(5, 2, 90, 33.0), seconds=0.0, now=1.0).concurrency == 7


def looks(*read_at: float) -> list[float | None]:
    """Let a pod that holds four answer each half second; return what is made of it when its answers are read."""
    meter, found = signal.Meter(), []
    for step, at in enumerate(read_at):
        answered_at = 0.5 * step
        made = meter.read(load(4, requests=round(40 * answered_at), load_seconds=4 * answered_at), at)
        found.append(None if made is None else round(made.concurrency, 2))
    return found


def test_an_answer_that_is_read_late_makes_no_load_of_the_next_one() -> None:
    assert looks(0.0, 0.5, 1.45, 1.5, 2.0) == [4, 4, 2.11, 4, 4]
    assert looks(0.0, 0.5, 1.2, 1.5, 2.0) == [4, 4, 2.86, 4, 4]


def test_a_second_look_right_after_the_first_tells_nothing() -> None:
    meter = signal.Meter()
    assert meter.read(load(1, requests=1), 0.0) is not None
    assert meter.read(load(0, requests=2, load_seconds=0.01), 0.01) is None
    third = meter.read(load(0, requests=2, load_seconds=0.01), 0.5)
    assert third is not None
    assert (third.requests_per_second, third.concurrency) == (2.0, 0.02)


def test_pods_and_held_requests_add_up() -> None:
    sample = signal.combine({"a": rate(9.8, 3, 10), "b": rate(9.9, 5, 20)}, now=10.0, held=2)
    assert sample == signal.Sample(10.0, concurrency=10.0, queued=2.0, requests_per_second=30.0, pods=2)


def test_a_silent_pod_stands_for_the_mean_of_the_others_and_never_for_zero() -> None:
    sample = signal.combine({"a": rate(10, 4), "b": rate(10, 6), "never": None}, now=10.0)
    assert sample is not None
    assert (sample.concurrency, sample.pods, sample.silent) == (15.0, 3, 1)


def test_a_silent_pod_that_was_busier_than_the_others_stays_as_busy_as_it_was() -> None:
    sample = signal.combine({"a": rate(10, 4), "gone quiet": rate(2, 50)}, now=10.0)
    assert sample is not None
    assert sample.concurrency == 54.0


def test_when_no_pod_answers_there_is_no_sample() -> None:
    assert signal.combine({"a": None, "b": rate(1.0, 9)}, now=10.0) is None


def test_a_model_without_pods_carries_what_is_held_for_it() -> None:
    sample = signal.combine({}, now=10.0, held=3)
    assert sample == signal.Sample(10.0, concurrency=3, queued=3, requests_per_second=0, pods=0)


@pytest.mark.parametrize("seconds", [0.004, 0.05, 0.3, 2.0])
def test_a_quantile_is_within_a_bucket_of_the_truth(seconds: float) -> None:
    counts = [0] * LATENCY_COUNTS
    bucket = next(index for index, upper in enumerate(LATENCY_BUCKETS_SECONDS) if seconds <= upper)
    counts[bucket] = 1000
    measured = signal.quantile_seconds(counts, 0.95)
    assert measured is not None
    assert seconds / 1.25 <= measured <= seconds * 1.25


def test_a_quantile_of_nothing_is_unknown_and_of_the_overflow_is_the_last_bound() -> None:
    counts = [0] * LATENCY_COUNTS
    assert signal.quantile_seconds(counts, 0.95) is None
    counts[-1] = 10
    assert signal.quantile_seconds(counts, 0.95) == LATENCY_BUCKETS_SECONDS[-1]


def test_latency_counts_are_those_of_the_time_between_the_looks() -> None:
    before = Load("ready", 0, 0, 10, 1.0, latency=(5, 5, 0))
    after = Load("ready", 0, 0, 14, 2.0, latency=(6, 5, 3))
    assert signal.compare(before, after, 0.5, 1.0).latency == (1, 0, 3)
    assert signal.add_counts([(1, 0, 3), (), (1, 1, 1)]) == (2, 1, 4)


def test_a_pod_that_has_only_just_become_ready_counts_once_it_was_heard_twice_or_is_late() -> None:
    rates = {"old": signal.PodRate(10.0, 8.0, 1.0, 4.0), "young": None}
    sample = signal.combine(rates, now=10.0, new={"young"})
    assert sample is not None
    assert (sample.concurrency, sample.pods, sample.silent) == (8.0, 2, 0)
    late = signal.combine(rates, now=10.0)
    assert late is not None
    assert (late.concurrency, late.silent) == (16.0, 1)
    assert signal.combine({"young": None}, now=10.0, new={"young"}) is None
    first_look = signal.PodRate(10.0, 4.0, 0.0, 0.0)
    sample = signal.combine({**rates, "young": first_look}, now=10.0, new={"young"})
    assert sample is not None
    assert sample.concurrency == 8.0
    alone = signal.combine({"young": first_look}, now=10.0, new={"young"})
    assert alone is not None
    assert alone.concurrency == 4.0


def test_what_was_refused_between_two_looks_is_told_apart_from_what_was_answered() -> None:
    before, after = (
        Load("ready", 0, 0, requests=100, load_seconds=50.0, refused=10),
        Load("ready", 0, 0, requests=160, load_seconds=50.2, refused=50),
    )
    compared = signal.compare(before, after, seconds=0.5, now=7.0)
    assert (compared.requests_per_second, compared.refused_per_second) == (120.0, 80.0)
    sample = signal.combine({"full": compared, "other": rate(7.0, 3, 30)}, now=7.0)
    assert sample is not None
    assert (sample.requests_per_second, sample.refused_per_second, sample.answered_per_second) == (150.0, 80.0, 70.0)
    assert sample.refusals == (signal.Refusal("full", 80.0, 40.0),)
    first = signal.compare(None, after, seconds=0.0, now=7.0)
    assert first.refused_per_second == 0.0, "of what was before the first look nothing is known"


def test_what_is_refused_in_front_of_the_pods_are_requests_too_and_say_that_all_are_full() -> None:
    sample = signal.combine({"a": rate(9.8, 3, 10), "b": rate(9.9, 5, 20)}, now=10.0, held=2, refused=15.0)
    assert sample is not None
    assert (sample.requests_per_second, sample.refused_per_second, sample.answered_per_second) == (45.0, 15.0, 30.0)
    assert sample.refusals == (signal.Refusal("", 15.0, 30.0),)


def test_a_silent_pod_refuses_nobody_that_anyone_knows_of() -> None:
    gone = signal.PodRate(1.0, 8.0, 4.0, 50.0, refused_per_second=40.0)
    sample = signal.combine({"a": rate(10, 4, 10), "gone quiet": gone}, now=10.0)
    assert sample is not None
    assert (sample.silent, sample.refusals) == (1, ())
