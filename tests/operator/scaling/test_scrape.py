"""The scraper against real sockets; the pods are stubs that answer, keep silent, restart or talk nonsense."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING, Self

import pytest
import trustme

from foresail_operator.scaling import loads
from foresail_operator.scaling.connection import LIMIT_BYTES, AnswerError, take_body
from foresail_operator.scaling.scrape import Pod, Scraper
from foresail_runtime.contract import LATENCY_COUNTS, ContractError, Load
from tests.operator.scaling.stubs import StubPod

if TYPE_CHECKING:
    from collections.abc import Callable


class Watcher:
    """A scraper at work, and a way to wait until it has seen something."""

    def __init__(self, *pods: Pod) -> None:
        self.turned = asyncio.Event()
        self.scraper = Scraper(after_turn=self.turned.set)
        self.scraper.watch(pods)

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self.scraper.run())
        return self

    async def __aexit__(self, *error: object) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task

    async def until(self, seen: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not seen():
                self.turned.clear()
                await self.turned.wait()

    def concurrency(self, key: str) -> float | None:
        rate = self.scraper.rates([key])[key]
        return rate.concurrency if rate else None


async def test_a_pod_is_asked_again_and_again_over_one_kept_connection() -> None:
    stub = StubPod(in_flight=3)
    port = await stub.start()
    async with Watcher(Pod("a", "127.0.0.1", port)) as watcher:
        await watcher.until(lambda: watcher.concurrency("a") == 3.0)
        await watcher.until(lambda: len(stub.questions) >= 3)
    assert len(stub.connections) == 1
    assert stub.questions[0] == b"GET /load HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % port
    await stub.stop()


async def test_a_pod_that_speaks_tls_is_asked_in_it_whatever_its_certificate_names() -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("fraud.default.svc").configure_cert(context)
    stub = StubPod(in_flight=3, tls=context)
    port = await stub.start()
    async with Watcher(Pod("a", "127.0.0.1", port, tls=True)) as watcher:
        await watcher.until(lambda: watcher.concurrency("a") == 3.0)
    assert len(stub.connections) == 1
    await stub.stop()


async def test_latency_is_asked_for_only_where_it_is_needed() -> None:
    assert Pod("a", "10.0.0.1", 8080, latency=True).question.startswith(b"GET /load?latency=1 HTTP/1.1\r\n")


async def test_a_pod_that_came_back_is_found_again() -> None:
    stub = StubPod(in_flight=1)
    port = await stub.start()
    async with Watcher(Pod("a", "127.0.0.1", port)) as watcher:
        await watcher.until(lambda: watcher.concurrency("a") == 1.0)
        await stub.stop()
        body = Load("ready", 9, 0, 0, 0.0).encode().encode()
        back = StubPod(answer=b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await back.start(port)
        await watcher.until(lambda: watcher.concurrency("a") == 9.0)
        assert watcher.scraper.failures >= 1
        await back.stop()


async def test_a_silent_pod_keeps_its_old_word_and_is_counted_late() -> None:
    stub = StubPod(in_flight=4)
    async with Watcher(Pod("a", "127.0.0.1", await stub.start())) as watcher:
        await watcher.until(lambda: watcher.concurrency("a") == 4.0)
        stub.silent = True
        await watcher.until(lambda: watcher.scraper.late >= 2)
        rate = watcher.scraper.rates(["a"])["a"]
        assert rate is not None
        assert rate.at < asyncio.get_running_loop().time() - 0.5
        await watcher.until(lambda: watcher.scraper.failures == 1)
    await stub.stop()


async def test_a_pod_that_is_no_longer_watched_is_forgotten_and_the_others_stay() -> None:
    one, two = StubPod(in_flight=1), StubPod(in_flight=2)
    first, second = Pod("a", "127.0.0.1", await one.start()), Pod("b", "127.0.0.1", await two.start())
    async with Watcher(first, second) as watcher:
        await watcher.until(lambda: watcher.concurrency("a") is not None and watcher.concurrency("b") is not None)
        watcher.scraper.watch([second])
        assert watcher.scraper.rates(["a"]) == {"a": None}
        assert watcher.scraper.load("a") is None
        asked = len(two.questions)
        await watcher.until(lambda: len(two.questions) > asked)
    assert len(two.connections) == 1
    await one.stop()
    await two.stop()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"\x16\x03\x01 this is TLS\r\n\r\n",
    ],
)
async def test_nonsense_is_no_load(answer: bytes) -> None:
    stub = StubPod(answer=answer)
    async with Watcher(Pod("a", "127.0.0.1", await stub.start())) as watcher:
        await watcher.until(lambda: watcher.scraper.failures >= 2)
        assert watcher.scraper.rates(["a"]) == {"a": None}
    await stub.stop()


async def test_nobody_at_the_address_is_a_failure_and_no_load() -> None:
    stub = StubPod()
    port = await stub.start()
    await stub.stop()
    async with Watcher(Pod("a", "127.0.0.1", port)) as watcher:
        await watcher.until(lambda: watcher.scraper.failures >= 2)
        assert watcher.scraper.rates(["a"]) == {"a": None}


BODY = b'{"state":"ready"}'
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 17\r\nServer: x\r\n\r\n" + BODY


def test_an_answer_may_come_byte_by_byte() -> None:
    assert [take_body(WHOLE[:end]) for end in range(len(WHOLE))] == [None] * len(WHOLE)
    assert take_body(WHOLE) == BODY


@pytest.mark.parametrize(
    "data",
    [
        WHOLE + b"more",
        WHOLE.replace(b" 200 ", b" 404 "),
        WHOLE.replace(b"Length", b"Lengthy"),
        WHOLE.replace(b": 17", b": -1"),
        WHOLE.replace(b": 17", b": 99999999"),
        b"x" * (LIMIT_BYTES + 1),
    ],
)
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises(AnswerError):
        take_body(data)


@pytest.mark.parametrize("latency", [(), tuple(range(LATENCY_COUNTS))], ids=["without", "with latency"])
def test_loads_are_read_as_the_contract_writes_them(latency: tuple[int, ...]) -> None:
    load = Load("ready", 3, 1, 12_345, 456.789, 8, 0.0123, latency)
    assert loads.decode(load.encode().encode()) == load == Load.decode(load.encode())
    young = Load("ready", 3, 1, 9, 4.5, age_seconds=2.5, phases={"start": 0.5, "warm": 0.25})
    assert loads.decode(young.encode().encode()) == young == Load.decode(young.encode())
    full = Load("ready", 3, 1, 900, 4.5, refused=17, cores=0.25)
    assert loads.decode(full.encode().encode()) == full == Load.decode(full.encode())
    bare = Load("starting", 0, 0, 0, 0.0)
    assert loads.decode(bare.encode().encode()) == bare


@pytest.mark.parametrize("decode", [loads.decode, Load.decode], ids=["the operator's", "the contract's"])
def test_a_runtime_that_says_nothing_of_refusals_refused_none(decode: Callable[[bytes], Load]) -> None:
    assert decode(said()).refused == 0


def said(**fields: object) -> bytes:
    """Return what a pod says that carries nothing, but for these fields, written as they are."""
    values = {"state": '"ready"', "in_flight": 0, "queued": 0, "requests": 0, "load_seconds": 0, **fields}
    return "{{{}}}".format(",".join(f'"{name}":{value}' for name, value in values.items()).replace("'", '"')).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'{"state":"ready"}',
        Load("ready", -1, 0, 0, 0.0).encode().encode(),
        Load("ready", 0, 0, 0, 0.0, phases={"start": -1.0}).encode().encode(),
        b'{"state":"ready","in_flight":0,"queued":0,"requests":0,"load_seconds":0,"phases":[1]}',
        said(in_flight="1" * 400),
        said(in_flight=2**53),
        said(in_flight='"3"'),
        said(queued="null"),
        said(requests="-1"),
        said(requests="[]"),
        said(load_seconds='"inf"'),
        said(load_seconds="1e999"),
        said(load_seconds="NaN"),
        said(age_seconds='"nan"'),
        said(age_seconds="-1"),
        said(phases='{"start":"inf"}'),
        said(phases='{"start":1e999}'),
        said(batch_size='"a"'),
        said(batch_size="-8"),
        said(batch_size=2**53),
        said(batch_seconds='"a"'),
        said(batch_seconds="-0.1"),
        said(batch_seconds="1e999"),
        said(refused="-1"),
        said(refused=2**53),
        said(refused='"a"'),
        said(refused="null"),
        said(cores="-1"),
        said(cores="1e999"),
        said(cores='"a"'),
        said(latency="7"),
        said(latency=f'"{"1" * LATENCY_COUNTS}"'),
        said(latency=["1"] * LATENCY_COUNTS),
        said(latency=[-1] * LATENCY_COUNTS),
        said(latency=[2**53] * LATENCY_COUNTS),
        said(latency=[None] * LATENCY_COUNTS),
        b"[" * 100_000,
    ],
)
@pytest.mark.parametrize("decode", [loads.decode, Load.decode], ids=["the operator's", "the contract's"])
def test_what_is_no_load_is_refused(decode: Callable[[bytes], Load], body: bytes) -> None:
    with pytest.raises(ContractError):
        decode(body)


@pytest.mark.parametrize("decode", [loads.decode, Load.decode], ids=["the operator's", "the contract's"])
@pytest.mark.parametrize("count", [1, LATENCY_COUNTS - 1, LATENCY_COUNTS + 1])
def test_counts_by_other_buckets_than_ours_are_left_out(decode: Callable[[bytes], Load], count: int) -> None:
    assert decode(said(latency=[1] * count)) == Load("ready", 0, 0, 0, 0.0)
