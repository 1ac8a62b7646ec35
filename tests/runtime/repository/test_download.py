"""Downloads from a server that breaks off, changes its file, redirects, or answers with what is no model."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trustme

from foresail_runtime import contract, errors
from foresail_runtime.repository import download
from tests.bare_authority import BareAuthority, verify_strictly

if TYPE_CHECKING:
    import pathlib
    from collections.abc import AsyncIterator, Callable

DATA = bytes(range(256)) * 4096  # 1 MiB
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"


class Source:
    """A web server that answers each request with the next of its answers; the last one stays."""

    def __init__(self) -> None:
        self.answers: list[Callable[[dict[str, str]], tuple[bytes, bytes | None]]] = []
        self.requests: list[dict[str, str]] = []
        self.port = 0

    @property
    def address(self) -> str:
        return f"http://user:secret@127.0.0.1:{self.port}/models/m.onnx?token=secret"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
            self.requests.append({"path": head[0].split()[1], **headers})
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            lines, body = answer(headers)
            writer.write(b"HTTP/1.1 " + lines + b"\r\nConnection: close\r\n\r\n" + (body or b""))
            await writer.drain()


@pytest.fixture
async def source() -> AsyncIterator[Source]:
    made = Source()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    async with server:
        yield made


def whole(data: bytes = DATA, cut: int | None = None, tag: str = '"v1"', more: str = "") -> Any:
    """Answer with the file, with ranges as the standard has them; `cut`: the connection ends after so many bytes."""

    def answer(headers: dict[str, str]) -> tuple[bytes, bytes]:
        start = 0
        status = "200 OK"
        wanted = headers.get("range", "")
        if wanted and headers.get("if-range") == tag:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            status = f"206 Partial Content\r\nContent-Range: bytes {start}-{len(data) - 1}/{len(data)}"
        lines = f"{status}\r\nContent-Length: {len(data) - start}\r\n{f'ETag: {tag}' if tag else 'X-No: tag'}{more}"
        return lines.encode(), data[start:][:cut]

    return answer


def plain(status: str, body: bytes = b"") -> Any:
    lines = f"{status}\r\nContent-Length: {len(body)}".encode()
    return lambda _: (lines, body)


class Fetch:
    """One download and what was told about it."""

    def __init__(self, source: Source, folder: pathlib.Path) -> None:
        self.source = source
        self.target = folder / "m" / "1" / "m.onnx"
        self.told: list[tuple[int, int | None]] = []
        self.pauses: list[float] = []
        self.said: list[tuple[str | None, str]] = []
        self.secret = folder / "secret"

    async def __call__(self, **fields: Any) -> pathlib.Path:
        description = contract.ModelDescription(**{"name": "m", "uri": self.source.address, **fields})

        async def pause(seconds: float) -> None:
            self.pauses.append(seconds)

        async with asyncio.timeout(20):
            return await download.download(
                description, self.target, lambda *seen: self.told.append(seen), pause, self.secret, say=self._say
            )

    def _say(self, reason: str | None, message: str) -> None:
        self.said.append((reason, message))

    async def failure(self, **fields: Any) -> errors.ModelUnusable:
        with pytest.raises(errors.ModelUnusable) as caught:
            await self(**fields)
        assert "secret" not in caught.value.message
        return caught.value


@pytest.fixture
def fetch(source: Source, tmp_path: pathlib.Path) -> Fetch:
    return Fetch(source, tmp_path)


async def test_a_file_is_fetched_checked_and_named(fetch: Fetch, source: Source) -> None:
    source.answers = [whole()]
    path = await fetch(digest=DIGEST)
    assert path.read_bytes() == DATA
    assert [entry.name for entry in path.parent.iterdir()] == ["m.onnx"]
    assert fetch.told[0] == (0, len(DATA))
    assert fetch.told[-1] == (len(DATA), len(DATA))


async def test_a_file_that_was_fetched_before_is_not_fetched_again(fetch: Fetch, source: Source) -> None:
    source.answers = [whole()]
    await fetch(digest=DIGEST)
    await fetch(digest=DIGEST)
    assert len(source.requests) == 1


async def test_a_broken_download_goes_on_where_it_broke_off(fetch: Fetch, source: Source) -> None:
    source.answers = [whole(cut=300_000), whole(cut=300_000), whole()]
    assert (await fetch(digest=DIGEST)).read_bytes() == DATA
    starts = [int(one.get("range", "bytes=0-").removeprefix("bytes=").rstrip("-")) for one in source.requests]
    assert starts == sorted(starts)
    assert starts[0] == 0 < starts[-1] <= 600_000  # what was read, less what the socket still held
    assert source.requests[1]["if-range"] == '"v1"'
    assert len(fetch.pauses) == 2


async def test_a_download_that_gets_on_may_break_off_as_often_as_it_likes(fetch: Fetch, source: Source) -> None:
    large = DATA * 40
    source.answers = [whole(large, cut=3_000_000) for _ in range(25)] + [whole(large)]
    assert (await fetch()).read_bytes() == large
    assert len(source.requests) > download.ATTEMPTS


async def test_a_new_process_goes_on_where_the_old_one_ended(fetch: Fetch, source: Source) -> None:
    source.answers = [whole(cut=300_000), plain("404 Not Found")]
    await fetch.failure()
    source.answers = [whole()]
    assert (await fetch(digest=DIGEST)).read_bytes() == DATA
    assert source.requests[-1]["range"] != "bytes=0-"


async def test_a_file_that_changed_meanwhile_is_fetched_anew(fetch: Fetch, source: Source) -> None:
    other = DATA[::-1]
    source.answers = [whole(cut=300_000), whole(other, tag='"v2"')]
    assert (await fetch()).read_bytes() == other


def ranged(data: bytes, more: str, *, most: int | None = None, total: str | None = None) -> Any:
    """Answer with the range that is asked for, whatever If-Range says; `most`: of so many bytes."""

    def answer(headers: dict[str, str]) -> tuple[bytes, bytes]:
        start = int(headers.get("range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        body = data[start:][:most]
        span = f"bytes {start}-{start + len(body) - 1}/{len(data) if total is None else total}"
        status = f"206 Partial Content\r\nContent-Range: {span}" if "range" in headers else "200 OK"
        return f"{status}\r\nContent-Length: {len(body)}{more}".encode(), body

    return answer


DATED = "\r\nLast-Modified: Thu, 01 Jan 2026 00:00:0"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('\r\nETag: "v1"', '\r\nETag: "v2"'),
        ('\r\nETag: "v1"', '\r\nETag: W/"v1"'),
        (f"{DATED}1 GMT", f"{DATED}2 GMT"),
        ('\r\nETag: "v1"', ""),
    ],
    ids=["by its tag", "by a weak tag", "by its date", "by its length"],
)
async def test_a_server_that_ignores_if_range_does_not_have_two_files_joined(
    fetch: Fetch, source: Source, before: str, after: str
) -> None:
    def broken(headers: dict[str, str]) -> tuple[bytes, bytes]:
        lines, body = ranged(DATA, before)(headers)
        return lines, body[:300_000]

    other = DATA[::-1] + b"more"
    source.answers = [broken, ranged(other, after)]
    assert (await fetch()).read_bytes() == other
    assert ["range" in one for one in source.requests] == [False, True, False]


@pytest.mark.parametrize("total", [None, "*"], ids=["told", "not told"])
async def test_a_range_that_says_nothing_of_another_file_is_taken(
    fetch: Fetch, source: Source, total: str | None
) -> None:
    source.answers = [whole(cut=300_000, more=f"{DATED}1 GMT"), ranged(DATA, f"{DATED}2 GMT", total=total)]
    assert (await fetch(digest=DIGEST)).read_bytes() == DATA
    assert len(source.requests) == 2


async def test_a_server_that_gives_less_than_is_asked_for_is_asked_again(fetch: Fetch, source: Source) -> None:
    tagged = '\r\nETag: "v1"'
    source.answers = [whole(cut=300_000), ranged(DATA, tagged, most=400_000), ranged(DATA, tagged)]
    assert (await fetch()).read_bytes() == DATA


@pytest.mark.parametrize("tag", ["", 'W/"v1"'], ids=["no tag", "a weak tag"])
async def test_without_a_strong_tag_a_download_begins_again(fetch: Fetch, source: Source, tag: str) -> None:
    source.answers = [whole(cut=300_000, tag=tag), whole(tag=tag)]
    assert (await fetch(digest=DIGEST)).read_bytes() == DATA
    assert "range" not in source.requests[1]


async def test_a_part_that_does_not_fit_any_more_is_thrown_away(fetch: Fetch, source: Source) -> None:
    source.answers = [whole(cut=300_000), plain("416 Range Not Satisfiable"), whole()]
    assert (await fetch(digest=DIGEST)).read_bytes() == DATA
    assert "range" not in source.requests[2]


@pytest.mark.parametrize(
    "status", ["500 Oh", "502 Bad Gateway", "503 Busy\r\nRetry-After: 7", "429 Slow\r\nRetry-After: 7"]
)
async def test_what_may_pass_is_tried_again(fetch: Fetch, source: Source, status: str) -> None:
    source.answers = [plain(status), plain(status), whole()]
    assert (await fetch(digest=DIGEST)).read_bytes() == DATA
    assert len(fetch.pauses) == 2
    assert ("7" in status) == (fetch.pauses[0] == 7.0)
    assert [reason for reason, _ in fetch.said] == ["DownloadFailed", "DownloadFailed", None]
    assert f"the server answers {status[:3]} (attempt 2 of 8)" in fetch.said[1][1]
    assert "secret" not in fetch.said[1][1]


async def test_a_source_that_stays_down_is_given_up_with_its_words(fetch: Fetch, source: Source) -> None:
    source.answers = [plain("503 Busy")]
    failure = await fetch.failure()
    assert failure.reason == "DownloadFailed"
    assert "the server answers 503 (8 attempts)" in failure.message
    assert fetch.pauses == sorted(fetch.pauses) or max(fetch.pauses) <= download.MAX_PAUSE_SECONDS


async def test_a_source_that_breaks_off_again_and_again_is_said_to_fail_all_the_while(
    fetch: Fetch, source: Source
) -> None:
    source.answers = [whole(cut=100_000), plain("503 Busy"), whole(cut=100_000), whole()]
    await fetch(digest=DIGEST)
    assert [reason for reason, _ in fetch.said] == [None, *["DownloadFailed"] * 3]


async def test_a_download_that_gets_on_after_a_break_is_said_to_get_on(fetch: Fetch, source: Source) -> None:
    data = DATA * 3
    source.answers = [whole(data, cut=100_000), whole(data)]
    await fetch()
    assert [reason for reason, _ in fetch.said] == [None, "DownloadFailed", None]


async def test_a_source_that_nobody_listens_at_says_so(fetch: Fetch, source: Source) -> None:
    with contextlib.closing(await asyncio.start_server(source.serve, "127.0.0.1", 0)) as server:
        free = server.sockets[0].getsockname()[1]
    failure = await fetch.failure(uri=f"http://127.0.0.1:{free}/m.onnx")
    assert f"can't connect to 127.0.0.1:{free}" in failure.message


HTML = b"<!DOCTYPE html><title>Sign in</title>"
FINAL: dict[str, tuple[Any, str, str]] = {
    "not there": (plain("404 Not Found"), "ModelNotFound", "there is nothing at this address"),
    "not allowed": (plain("403 Forbidden"), "AccessDenied", "access is denied"),
    "no credentials": (plain("401 Unauthorized"), "AccessDenied", "set model.credentials"),
    "another 4xx": (plain("418 Teapot"), "DownloadFailed", "the server answers 418"),
    "a page by its type": (plain("200 OK\r\nContent-Type: text/html", b"hello"), "NotAModel", "an HTML page"),
    "a page by its looks": (plain("200 OK\r\nContent-Type: text/plain", HTML), "NotAModel", "an HTML page"),
    "an empty file": (plain("200 OK"), "NotAModel", "an empty file"),
    "a loop of redirects": (
        plain("302 Found\r\nLocation: /again"),
        "DownloadFailed",
        f"redirects more than {download.MAX_REDIRECTS} times",
    ),
    "a redirect to no http": (
        plain("302 Found\r\nLocation: file:///etc/passwd"),
        "SourceUnsupported",
        "no http(s) address",
    ),
}


@pytest.mark.parametrize("case", FINAL.values(), ids=FINAL.keys())
async def test_what_will_not_pass_ends_at_once(fetch: Fetch, source: Source, case: tuple[Any, str, str]) -> None:
    answer, reason, words = case
    source.answers = [answer]
    failure = await fetch.failure()
    assert (failure.reason, fetch.pauses) == (reason, [])
    assert words in failure.message


async def test_a_wrong_digest_names_both_and_leaves_nothing(fetch: Fetch, source: Source) -> None:
    source.answers = [whole(cut=300_000), whole()]
    wrong = f"sha256:{'0' * 64}"
    failure = await fetch.failure(digest=wrong)
    assert failure.reason == "DigestMismatch"
    assert DIGEST in failure.message
    assert wrong in failure.message
    assert list(fetch.target.parent.iterdir()) == []


def untold(size: int) -> Any:
    return lambda _: (b"200 OK\r\nX-No: length", bytes(size))


@pytest.mark.parametrize("answer", [whole(), untold(2**20)], ids=["told beforehand", "found on the way"])
async def test_a_file_over_the_limit_is_given_up(fetch: Fetch, source: Source, answer: Any) -> None:
    source.answers = [answer]
    failure = await fetch.failure(size_limit_bytes=500_000)
    assert failure.reason == "ModelTooLarge"
    assert "the limit is 500000" in failure.message


async def test_a_redirect_is_followed(fetch: Fetch, source: Source) -> None:
    source.answers = [plain("302 Found\r\nLocation: /elsewhere/file"), whole()]
    assert (await fetch(digest=DIGEST)).read_bytes() == DATA
    assert source.requests[1]["path"] == "/elsewhere/file"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"token": "t-1\n"}, "Bearer t-1"),
        ({"username": "u", "password": "p"}, "Basic dTpw"),
        ({"other": "x"}, None),
    ],
    ids=["a token", "a user", "neither"],
)
async def test_what_the_secret_holds_is_sent_to_the_first_host_only(
    fetch: Fetch, source: Source, files: dict[str, str], expected: str | None
) -> None:
    fetch.secret.mkdir()
    for name, text in files.items():
        (fetch.secret / name).write_text(text)
    other = f"http://localhost:{source.port}/elsewhere"
    source.answers = [plain(f"302 Found\r\nLocation: {other}"), whole()]
    await fetch(uri=f"http://127.0.0.1:{source.port}/m.onnx")
    assert [one.get("authorization") for one in source.requests] == [expected, None]


@pytest.mark.parametrize("files", [{"username": "u"}, {"ca.crt": "no certificate"}], ids=["no password", "no CA"])
async def test_a_secret_that_makes_no_sense_says_so(fetch: Fetch, source: Source, files: dict[str, str]) -> None:
    fetch.secret.mkdir()
    for name, text in files.items():
        (fetch.secret / name).write_text(text)
    source.answers = [whole()]
    assert (await fetch.failure()).reason == "CredentialsUnreadable"


async def test_a_ca_of_its_own_is_trusted(fetch: Fetch, source: Source) -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    server = await asyncio.start_server(source.serve, "127.0.0.1", 0, ssl=context)
    source.answers = [whole()]
    uri = f"https://localhost:{server.sockets[0].getsockname()[1]}/m.onnx"
    async with server:
        assert (await fetch.failure(uri=uri)).reason == "CertificateInvalid"
        fetch.secret.mkdir()
        authority.cert_pem.write_to_path(str(fetch.secret / "ca.crt"))
        assert (await fetch(uri=uri, digest=DIGEST)).read_bytes() == DATA


async def test_a_ca_without_key_identifiers_is_as_good_as_another(
    fetch: Fetch, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify_strictly(monkeypatch)
    fetch.secret.mkdir()
    context = BareAuthority(fetch.secret).context("localhost")
    server = await asyncio.start_server(source.serve, "127.0.0.1", 0, ssl=context)
    source.answers = [whole()]
    uri = f"https://localhost:{server.sockets[0].getsockname()[1]}/m.onnx"
    async with server:
        assert (await fetch(uri=uri, digest=DIGEST)).read_bytes() == DATA


async def test_a_folder_that_can_not_be_written_says_so(fetch: Fetch, source: Source, tmp_path: pathlib.Path) -> None:
    source.answers = [whole()]
    (tmp_path / "m").write_text("a file where a folder should be")
    failure = await fetch.failure()
    assert "can't write the model's file" in failure.message
