"""Answers the calls of GRPCInferenceService; one method a call, none of them raises but to end its own call."""

from __future__ import annotations

import asyncio
import functools
import logging
import uuid
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import grpc
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

import foresail_runtime
from foresail_runtime import errors
from foresail_runtime.codec import extensions
from foresail_runtime.grpc import messages, oip_pb2, reflect, streams, weight

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from foresail_runtime.grpc.gate import Gate
    from foresail_runtime.serving import Serving
    from foresail_runtime.tensors import InferRequest, InferResponse, Signature, TensorSpec


log = logging.getLogger(__name__)

_MessageType = TypeVar("_MessageType", bound=Message)
_MadeType = TypeVar("_MadeType", covariant=True)  # noqa: PLC0105  # what makes, and nothing else, uses it

_REPOSITORY_TOKEN: Final = "foresail-repository-token"  # noqa: S105  # a key's name
_SHARED_MEMORY: Final = "shared memory is not offered, send tensors in the message"
_ABSENT: Final = {
    "LogSettings": "logs are set when the server starts (FORESAIL_LOG_LEVEL, FORESAIL_LOG_FORMAT)",
    "TraceSetting": "traces are set when the server starts, if at all",
    **{
        f"{kind}SharedMemory{verb}": _SHARED_MEMORY
        for kind in ("System", "Cuda")
        for verb in ("Status", "Register", "Unregister")
    },
}
"""Triton's calls that are not offered, and why."""
_MAX_SHORT_BYTES: Final = 2**16
"""Of a message that holds no tensors."""
_HEAVY: Final = 2**25
"""Messages that take so many bytes while they are read are read on a thread of their own, one after the other."""
_FEW_FIELDS: Final = 4096
"""Those with more are weighed there, too."""
_MAX_DETAILS: Final = 1000
"""Characters of an error's words: longer ones would not fit into the trailers."""


class Context(Protocol):
    """What is used of grpcio's context of a call."""

    def time_remaining(self) -> float | None:
        """Return the seconds until the caller's deadline; None if it has none."""

    def invocation_metadata(self) -> Iterable[tuple[str, str | bytes]] | None:
        """Return what the caller sent beside its message."""

    async def read(self) -> Any:
        """Return the next message, or `grpc.aio.EOF`."""

    async def write(self, message: Message) -> None:
        """Send one answer of a stream."""

    async def abort(self, code: grpc.StatusCode, details: str, trailing_metadata: tuple[tuple[str, str], ...]) -> None:
        """End the call with a status; raises."""


class Encode(Protocol[_MadeType]):
    """Makes of a model's answer what is sent: `messages.encode` or `messages.serialize`."""

    def __call__(self, response: InferResponse, /, *, is_raw: bool) -> _MadeType:
        """Return it."""


class Service:
    """The calls, registered under the service's public name by `handlers`."""

    def __init__(self, serving: Serving, gate: Gate) -> None:
        self._serving = serving
        self._light_bytes = min(_HEAVY, serving.heavy.most) // weight.WORST
        self._gate = gate
        self._streams = streams.Streams(gate)

    def end_streams(self) -> None:
        """Read no more of the streams that are open, answer what was read, and end them well."""
        self._streams.end()

    def handlers(self) -> grpc.GenericRpcHandler:
        """Return what a server adds to answer the service."""
        made: dict[str, Any] = {}
        told: dict[str, Callable[[Any], Message]] = {
            "ServerLive": self.server_live,
            "ServerReady": self.server_ready,
            "ModelReady": self.model_ready,
            "ServerMetadata": self.server_metadata,
            "ModelMetadata": self.model_metadata,
            "ModelConfig": self.model_config,
            "ModelStatistics": self.model_statistics,
            "RepositoryIndex": self.repository_index,
        }
        for name, answer in told.items():
            made[name] = self._unary(name, _at_once(answer))
        made["RepositoryModelLoad"] = self._unary("RepositoryModelLoad", self.load)
        made["RepositoryModelUnload"] = self._unary("RepositoryModelUnload", self.unload)
        for name, words in _ABSENT.items():
            made[name] = self._absent(words)
        made["ModelInfer"] = grpc.stream_unary_rpc_method_handler(self._let_in(self._infer))
        made["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(
            self._guarded(self.model_stream_infer), None, oip_pb2.ModelStreamInferResponse.SerializeToString
        )
        return grpc.method_handlers_generic_handler(reflect.SERVICE, made)

    def server_live(self, _: oip_pb2.ServerLiveRequest) -> oip_pb2.ServerLiveResponse:
        """Answer true: whoever hears this is alive."""
        return oip_pb2.ServerLiveResponse(live=self._serving.live())

    def server_ready(self, _: oip_pb2.ServerReadyRequest) -> oip_pb2.ServerReadyResponse:
        """Tell whether every model is ready."""
        return oip_pb2.ServerReadyResponse(ready=self._serving.ready())

    def model_ready(self, message: oip_pb2.ModelReadyRequest) -> oip_pb2.ModelReadyResponse:
        """Tell whether a model is ready; one that nobody knows is not, as with Triton."""
        try:
            ready = self._serving.model_ready(message.name, message.version)
        except errors.NotFound:
            ready = False
        return oip_pb2.ModelReadyResponse(ready=ready)

    def server_metadata(self, _: oip_pb2.ServerMetadataRequest) -> oip_pb2.ServerMetadataResponse:
        """Answer with the server's name, version and extensions."""
        return oip_pb2.ServerMetadataResponse(
            name="foresail", version=foresail_runtime.__version__, extensions=extensions.NAMES
        )

    def model_metadata(self, message: oip_pb2.ModelMetadataRequest) -> oip_pb2.ModelMetadataResponse:
        """Answer with what a model takes and gives."""
        info = self._serving.model_info(message.name, message.version)
        return oip_pb2.ModelMetadataResponse(
            name=info.name,
            versions=info.versions,
            platform=info.platform,
            inputs=map(_describe, info.signature.inputs),
            outputs=map(_describe, info.signature.outputs),
            properties=info.properties,
        )

    def model_config(self, message: oip_pb2.ModelConfigRequest) -> oip_pb2.ModelConfigResponse:
        """Answer with a model's configuration as Triton words it."""
        model = self._serving.model(message.name, message.version)
        document = {"config": extensions.config(model.info, model.max_batch_size)}
        return json_format.ParseDict(document, oip_pb2.ModelConfigResponse())

    def model_statistics(self, message: oip_pb2.ModelStatisticsRequest) -> oip_pb2.ModelStatisticsResponse:
        """Answer with the counts of a version, of every version of a model, or of all models."""
        models = self._serving.asked(message.name, message.version) if message.name else self._serving.models()
        document = {"model_stats": [extensions.statistics(model.metrics) for model in models]}
        return json_format.ParseDict(document, oip_pb2.ModelStatisticsResponse())

    def repository_index(self, message: oip_pb2.RepositoryIndexRequest) -> oip_pb2.RepositoryIndexResponse:
        """Answer with the models that are known, or with those only that are ready."""
        models = [entry.document() for entry in self._serving.index(ready=message.ready)]
        return json_format.ParseDict({"models": models}, oip_pb2.RepositoryIndexResponse())

    async def load(
        self, message: oip_pb2.RepositoryModelLoadRequest, context: Context
    ) -> oip_pb2.RepositoryModelLoadResponse:
        """Load a model of the folder, or what changed of it, and answer once it is served."""
        library = self._serving.library_for(_authorization(context))
        extensions.check_load(dict(message.parameters))
        await library.load(message.model_name)
        return oip_pb2.RepositoryModelLoadResponse()

    async def unload(
        self, message: oip_pb2.RepositoryModelUnloadRequest, context: Context
    ) -> oip_pb2.RepositoryModelUnloadResponse:
        """Unload a model, and answer once its last request is answered."""
        library = self._serving.library_for(_authorization(context))
        extensions.check_unload({key: _value(given) for key, given in message.parameters.items()})
        await library.unload(message.model_name)
        return oip_pb2.RepositoryModelUnloadResponse()

    async def model_infer(
        self,
        message: oip_pb2.ModelInferRequest,
        size: int,
        context: Context,
        encode: Encode[_MadeType],
        unread: bytes = b"",
    ) -> _MadeType:
        """Answer one request of so many bytes, as what `encode` makes of it, and count it.

        Of one that is heavy the message says only who is asked, and all of it is yet to be read.
        """
        serving = self._serving
        model = serving.model(message.model_name, message.model_version)
        start = serving.clock()
        status, waits, refused, held = 500, False, False, 0
        try:
            if unread:
                weighed = await serving.heavy.run(weight.weigh, unread, serving.heavy.most)
                await serving.heavy.begin(weighed.size)
                held = weighed.size
                request, is_raw = await serving.heavy.run(_decode, model.signature, unread)
            else:
                request, is_raw = messages.decode(model.signature, message)
            del message, unread  # while it waits, its tensors are enough
            model.metrics.decoded(serving.clock() - start)
            arrays = model.batcher.run_short(request)
            if arrays is None:
                serving.begin(model, start)
                waits = True
                request = _within(request, context.time_remaining())
                size = max(size, request.nbytes)
                response = await model.infer(request, size)
            else:
                response = model.respond(request, arrays)
            begun = serving.clock()
            answer = encode(response, is_raw=is_raw)
            model.metrics.encoded(serving.clock() - begun)
            status = 200
        except errors.ForesailError as failure:
            status, refused = failure.http_status, isinstance(failure, errors.QueueFull)
            raise
        except asyncio.CancelledError:
            status = 499  # the client hung up, in the word that access logs have for it
            raise
        finally:
            seconds = serving.clock() - start
            if held:
                serving.heavy.end(held)
            if waits:
                serving.end(model)
            else:
                serving.passed(seconds)
            model.metrics.answered("grpc", status, seconds, refused=refused)
        return answer

    async def model_stream_infer(self, context: Context) -> None:
        """Answer each request of a stream, in order; one that fails does not end the stream."""
        await self._streams.answer(functools.partial(self._stream_answer, context), context)

    async def _stream_answer(self, context: Context, data: bytes) -> oip_pb2.ModelStreamInferResponse:
        empty, held = oip_pb2.ModelInferResponse(), 0
        try:
            message, unread = self._read(data)
            if self._serving.missed(message.model_name):
                del message  # it may be many times as large
                await self._serving.wait()
                message, unread = self._read(data)
            empty = oip_pb2.ModelInferResponse(model_name=message.model_name, id=message.id)
            held = self._gate.enter(len(data))
            self._serving.metrics.received_bytes += len(data)
            answering = self.model_infer(message, held, context, messages.encode, unread)
            del data, message, unread
            answer = oip_pb2.ModelStreamInferResponse(infer_response=await answering)
            self._serving.metrics.sent_bytes += answer.ByteSize()
            return answer  # noqa: TRY300  # what is made in here fails in here
        except Exception as error:  # noqa: BLE001  # whatever it is, the other requests of the stream go on
            return oip_pb2.ModelStreamInferResponse(error_message=self._explain(error)[1], infer_response=empty)
        finally:
            self._gate.leave(held)

    async def _infer(self, data: bytes, context: Context) -> bytes:
        message, unread = self._read(data)
        if self._serving.missed(message.model_name):
            del message  # it may be many times as large
            await self._serving.wait()
            message, unread = self._read(data)
        self._serving.metrics.received_bytes += len(data)
        answering = self.model_infer(message, len(data), context, messages.serialize, unread)
        del data, message, unread  # it is held only as long as it is read
        answer = await answering
        self._serving.metrics.sent_bytes += len(answer)
        return answer

    def _read(self, data: bytes) -> tuple[oip_pb2.ModelInferRequest, bytes]:
        """Return a request's message and b"", or, if it is heavy, the head of one and all of its bytes, yet to be read.

        Raises:
            InvalidRequest: They are no message.
            TooLarge: It would take more memory than there is for it.
        """
        if len(data) > self._light_bytes:
            weighed = weight.weigh(data, self._serving.heavy.most, _FEW_FIELDS)
            if not weighed.is_whole or weighed.size - 2 * len(data) > _HEAVY:
                return _parse(oip_pb2.ModelInferRequest, weighed.head), data
        return _parse(oip_pb2.ModelInferRequest, data), b""

    def _unary(self, name: str, answer: Callable[[Any, Context], Awaitable[Message]]) -> Any:
        """Return a handler that parses here, where a message that is none is the caller's mistake, not ours."""
        method = oip_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods_by_name[name]
        request, response = getattr(oip_pb2, method.input_type.name), getattr(oip_pb2, method.output_type.name)

        async def parse_and_answer(data: bytes, context: Context) -> Message:
            if len(data) > _MAX_SHORT_BYTES:
                raise errors.TooLarge(f"a message of this call has at most {_MAX_SHORT_BYTES} bytes")
            return await answer(_parse(request, data), context)

        return grpc.stream_unary_rpc_method_handler(self._let_in(parse_and_answer), None, response.SerializeToString)

    def _absent(self, words: str) -> Any:
        """Return a handler that says what is not offered, whatever the message."""

        async def call(_data: bytes, _context: Context) -> Message:
            raise errors.Unsupported(words)

        return grpc.stream_unary_rpc_method_handler(self._let_in(call))

    def _let_in(self, answer: Callable[[bytes, Context], Awaitable[Any]]) -> Callable[[Any, Context], Awaitable[Any]]:
        """Return what answers a call of one message, registered as one of several so that the gate is who reads it.

        On the wire all calls are streams.
        """
        return self._guarded(functools.partial(self._gate.let_in, answer))

    def _guarded(self, answer: Callable[[Context], Awaitable[Any]]) -> Callable[[Any, Context], Awaitable[Any]]:
        async def call(_requests: Any, context: Context) -> Any:
            try:
                return await answer(context)
            except Exception as error:  # noqa: BLE001  # every failure is an answer
                if _is_gone(error):
                    raise asyncio.CancelledError from None
                ending = (*self._explain(error), _trailers(error))
            # Out here: grpcio keeps what is raised, which would keep the failure, its frames and the message in them.
            try:
                return await context.abort(*ending)
            except grpc.aio.InternalError:
                raise asyncio.CancelledError from None

        return call

    def _explain(self, error: Exception) -> tuple[grpc.StatusCode, str]:
        """Count a failure, and return the status and the words it is answered with."""
        if isinstance(error, errors.ForesailError):
            self._serving.metrics.rejected[error.reason] += 1
            return grpc.StatusCode[error.grpc_code], error.message[:_MAX_DETAILS]
        number = uuid.uuid4().hex[:12]
        log.error("a call failed because of a mistake of ours; failure=%s", number, exc_info=error)
        self._serving.metrics.rejected["internal"] += 1
        return grpc.StatusCode.INTERNAL, f"internal error {number}: the server's log has more"


def _is_gone(error: BaseException | None) -> bool:
    """Tell whether a call failed because its client had left: there was nobody to write to."""
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_gone, error.exceptions))
    return isinstance(error, grpc.aio.InternalError)


def is_news(record: logging.LogRecord) -> bool:
    """Tell whether a record of grpcio's is worth a line: that an answer found its client gone is none."""
    return not (record.exc_info and _is_gone(record.exc_info[1]))


def _value(parameter: oip_pb2.ModelRepositoryParameter) -> object:
    kind = parameter.WhichOneof("parameter_choice")
    return None if kind is None else getattr(parameter, kind)


def _authorization(context: Context) -> str | None:
    """Return who may load and unload: the key for it, else what the call itself was let in with."""
    sent = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
    token = sent.get(_REPOSITORY_TOKEN)
    return sent.get("authorization") if token is None else f"Bearer {token}"


def _parse(kind: type[_MessageType], data: bytes) -> _MessageType:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise errors.InvalidRequest(f"the message is no {kind.DESCRIPTOR.name} of the protocol: {error}") from error


def _decode(signature: Signature, data: bytes) -> messages.Decoded:
    return messages.decode(signature, _parse(oip_pb2.ModelInferRequest, data))


def _at_once(answer: Callable[[Any], Message]) -> Callable[[Any, Context], Awaitable[Message]]:
    async def call(message: Any, _: Context) -> Message:
        return answer(message)

    return call


def _within(request: InferRequest, seconds: float | None) -> InferRequest:
    """Return the request with no more time than the call has left."""
    if seconds is None or (request.timeout_seconds is not None and request.timeout_seconds <= seconds):
        return request
    return request._replace(timeout_seconds=seconds)


def _describe(spec: TensorSpec) -> oip_pb2.ModelMetadataResponse.TensorMetadata:
    return oip_pb2.ModelMetadataResponse.TensorMetadata(name=spec.name, datatype=spec.datatype.name, shape=spec.shape)


def _trailers(error: Exception) -> tuple[tuple[str, str], ...]:
    """Tell clients with a retry policy how long to wait."""
    seconds = getattr(error, "retry_after_seconds", None)
    return () if seconds is None else (("grpc-retry-pushback-ms", str(seconds * 1000)),)
