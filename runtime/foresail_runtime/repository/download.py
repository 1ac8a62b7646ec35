"""Streams a model's file from an http(s) address: resumed after a break, limited in size, hashed as it comes.

A partial file keeps its validator (ETag or Last-Modified) beside it and is continued with Range and If-Range, also
after a restart of the container. What can pass (connection errors, 5xx, 408, 429) is tried again with a growing
pause; what can't (404, 403, a wrong digest, HTML where a model should be) ends the start with its reason.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import random
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from foresail_runtime import contract, errors, logs, repository
from foresail_runtime.repository import credentials, digest, partial

if TYPE_CHECKING:
    from collections.abc import Callable

    from foresail_runtime.contract import ModelDescription

log = logging.getLogger(__name__)

ATTEMPTS: Final = 8
FIRST_PAUSE_SECONDS: Final = 0.5
MAX_PAUSE_SECONDS: Final = 15.0
MAX_REDIRECTS: Final = 5
CONNECT_SECONDS: Final = 15.0
STALL_SECONDS: Final = 30.0
"""Without a byte for so long, a connection is given up and the download continued on another."""
PROGRESS_BYTES: Final = 2**20
_RANGE: Final = re.compile(r"bytes (\d+)-\d+/(\d+|\*)", re.ASCII)
"""What Content-Range says: the first byte and the whole file's size."""


class _BreakError(Exception):
    """The download broke off for a reason that may pass."""

    def __init__(self, message: str, after_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.after_seconds = after_seconds


@dataclasses.dataclass(slots=True)
class _Transfer:
    """One download, over however many attempts."""

    description: ModelDescription
    part: partial.Partial
    progress: Callable[[int, int | None], None]
    credentials: credentials.Credentials
    say: Callable[[str | None, str], None]
    received: int = 0
    """Bytes of the file that are there."""
    total: int | None = None
    """Bytes of the whole file, once an answer has told."""
    broke_off: bool = False
    """Whether the last attempt did, and no more than it brought has come since."""

    @property
    def name(self) -> str:
        return repository.public_address(self.description.uri)


async def download(
    description: ModelDescription,
    target: Path,
    progress: Callable[[int, int | None], None],
    pause: Callable[[float], Any] = asyncio.sleep,
    secret: Path = Path(contract.CREDENTIALS_FOLDER),
    *,
    say: Callable[[str | None, str], None] = lambda *_: None,
) -> Path:
    """Return `target` once it holds the whole, checked file; one that an earlier start has fetched is used again.

    `say` is told why it breaks off, with a reason word, and without one when it gets on: a source that answers and
    breaks off again and again does not.

    Raises:
        ModelUnusable: It can't be had, is too large, is no model, or has another digest.
    """
    if await asyncio.to_thread(_is_there, description, target):
        log.info("the model was fetched before", extra=logs.fields(path=target))
        return target
    transfer = _Transfer(
        description, partial.Partial(target), progress, await asyncio.to_thread(credentials.read, secret), say
    )
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=STALL_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False, trust_env=True) as session:
        in_vain = 0
        while True:
            before = transfer.received
            try:
                await _attempt(session, transfer)
            except _BreakError as error:
                # A download that gets on may break off as often as it likes: a large file over a bad line.
                in_vain = 1 if transfer.received >= before + PROGRESS_BYTES else in_vain + 1
                if in_vain == ATTEMPTS:
                    message = f"{transfer.name}: {error} ({ATTEMPTS} attempts)"
                    raise errors.ModelUnusable("DownloadFailed", message) from error
                transfer.broke_off = True
                transfer.say("DownloadFailed", f"{transfer.name}: {error} (attempt {in_vain} of {ATTEMPTS})")
                seconds = max(error.after_seconds, _pause_seconds(in_vain - 1))
                log.warning(
                    "the download broke off, trying again",
                    extra=logs.fields(address=transfer.name, error=error, attempt=in_vain, seconds=seconds),
                )
                await pause(seconds)
            else:
                return target


def _is_there(description: ModelDescription, target: Path) -> bool:
    """Whether the whole file is there already: known for sure only where there is a digest to compare."""
    if description.digest is None or not target.is_file():
        return False
    return digest.of_file(target) == description.digest.lower()


def _pause_seconds(attempt: int) -> float:
    grown = min(MAX_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0**attempt)
    return grown * random.uniform(0.5, 1.0)  # noqa: S311  # jitter, no secret


async def _attempt(session: aiohttp.ClientSession, transfer: _Transfer) -> None:
    try:
        state = await asyncio.to_thread(transfer.part.read)
        headers = {"Accept": "application/octet-stream, */*", "Accept-Encoding": "identity"}
        if state.size:
            headers |= {"Range": f"bytes={state.size}-", "If-Range": state.validator}
        known = transfer.credentials
        async with session.get(
            transfer.description.uri, headers=headers | known.headers, ssl=known.trust, max_redirects=MAX_REDIRECTS
        ) as response:
            start = _check_response(transfer, response, state)
            await _receive(transfer, response, start, state)
    except aiohttp.TooManyRedirects as error:
        raise errors.ModelUnusable(
            "DownloadFailed", f"{transfer.name} redirects more than {MAX_REDIRECTS} times"
        ) from error
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
        raise errors.ModelUnusable(
            "SourceUnsupported", f"{transfer.name} is, or leads to, no http(s) address"
        ) from error
    except aiohttp.ClientConnectorDNSError as error:
        raise _BreakError(f"the name {error.host} can't be resolved") from error
    except aiohttp.ClientConnectorCertificateError as error:
        raise errors.ModelUnusable(
            "CertificateInvalid",
            f"{transfer.name}: the server's certificate is not trusted; if its CA is your own, put it into the Secret "
            f"of model.credentials as {credentials.AUTHORITY}",
        ) from error
    except TimeoutError as error:
        raise _BreakError(f"no answer or no data for {STALL_SECONDS:g} s") from error
    except (aiohttp.ClientError, OSError) as error:
        if isinstance(error, OSError) and not isinstance(error, aiohttp.ClientError | ConnectionError):
            raise errors.ModelUnusable("DownloadFailed", f"can't write the model's file: {error}") from error
        raise _BreakError(_words(error)) from error


def _words(error: BaseException) -> str:
    match error:
        case aiohttp.ClientConnectorError():
            return f"can't connect to {error.host}:{error.port} ({error.os_error.strerror or error.os_error})"
        case aiohttp.ClientPayloadError():
            return "the connection ended before the whole file had come"
        case _:
            return f"the connection failed ({type(error).__name__})"


def _check_response(transfer: _Transfer, response: aiohttp.ClientResponse, state: partial.State) -> int:
    """Return at which byte the response's body starts.

    Raises:
        ModelUnusable, _BreakError: The response is not the file.
    """
    status, name = response.status, transfer.name
    if status == 206 and state.size:
        return _start_of_range(transfer, response, state)
    if status == 200:
        if response.content_type == "text/html":
            raise errors.ModelUnusable(
                "NotAModel",
                f"{name} answers with an HTML page, not a file: is it the address of a web page, or a login?",
            )
        transfer.total = response.content_length
        return 0
    if status == 416:  # our part is as long as the file, or longer than a new one: begin again
        transfer.part.discard()
        raise _BreakError("the part fetched before does not fit the file any more")
    if status in (408, 425, 429) or status >= 500:
        raise _BreakError(f"the server answers {status}", _retry_after(response))
    hints = {
        401: "it wants credentials: set model.credentials",
        403: "access is denied: check the credentials and the file's permissions",
        404: "there is nothing at this address",
        410: "the file is gone",
    }
    reason = {401: "AccessDenied", 403: "AccessDenied", 404: "ModelNotFound", 410: "ModelNotFound"}
    raise errors.ModelUnusable(
        reason.get(status, "DownloadFailed"), f"{name}: the server answers {status}: {hints.get(status, 'no file')}"
    )


def _start_of_range(transfer: _Transfer, response: aiohttp.ClientResponse, state: partial.State) -> int:
    content_range = response.headers.get("Content-Range", "")
    found = _RANGE.fullmatch(content_range)
    if found is None or int(found[1]) != state.size:
        raise _BreakError(f"the server continues at {content_range!r}, asked for byte {state.size}")
    total = transfer.total if found[2] == "*" else int(found[2])
    if _is_of_another(response, state) or transfer.total not in (None, total):
        transfer.part.discard()
        raise _BreakError("the file has changed since its first part was fetched")
    transfer.total = total
    return state.size


def _is_of_another(response: aiohttp.ClientResponse, state: partial.State) -> bool:
    """Tell whether a range says itself that it is of another file: there are servers that never look at If-Range."""
    found = response.headers.get("Last-Modified" if state.validator.endswith("GMT") else "ETag")
    return found is not None and found != state.validator


def _retry_after(response: aiohttp.ClientResponse) -> float:
    text = response.headers.get("Retry-After", "")
    return min(float(text), 60.0) if text.isdigit() else 0.0


async def _receive(transfer: _Transfer, response: aiohttp.ClientResponse, start: int, state: partial.State) -> None:
    length, total = response.content_length, transfer.total
    if total is None and length is not None:  # of a range whose answer does not know the whole
        total = start + length
    if total is not None:
        digest.check_size(total, transfer.description)
    validator = response.headers.get("ETag", "")
    if not validator or validator.startswith("W/"):  # a weak one says "much the same", not "the same bytes"
        validator = response.headers.get("Last-Modified", "")
    received = shown = start
    if not transfer.broke_off:
        transfer.say(None, f"fetching {transfer.name}")
    transfer.progress(received, total)
    with transfer.part.writing(start, validator if start == 0 else state.validator) as sink:
        async for data in response.content.iter_chunked(PROGRESS_BYTES):
            if received == 0:
                _refuse_html(transfer, data)
            received += len(data)
            transfer.received = received
            digest.check_size(received, transfer.description)
            await asyncio.to_thread(sink.write, data)
            if received - shown >= PROGRESS_BYTES:
                transfer.progress(received, total)
                shown = received
                if transfer.broke_off:
                    transfer.broke_off = False
                    transfer.say(None, f"fetching {transfer.name}")
    transfer.progress(received, total)
    if total is not None and received < total:
        raise _BreakError(f"{received} of {total} bytes had come when the connection ended")
    _check_whole(transfer, received, sink.digest())
    await asyncio.to_thread(transfer.part.complete)


def _refuse_html(transfer: _Transfer, data: bytes) -> None:
    if data.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):
        raise errors.ModelUnusable(
            "NotAModel", f"{transfer.name} is an HTML page, not a model: is it the address of a web page, or a login?"
        )


def _check_whole(transfer: _Transfer, size: int, found: str) -> None:
    try:
        if size == 0:
            raise errors.ModelUnusable("NotAModel", f"{transfer.name} is an empty file")  # noqa: TRY301
        digest.check(found, transfer.description)
    except errors.ModelUnusable:
        transfer.part.discard()
        raise
