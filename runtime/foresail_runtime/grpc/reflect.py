"""Describes the service under the names that everyone else knows it by.

Our messages are in a package of our own (oip.proto says why). Reflection is asked by tools that know nothing of us
(grpcurl, Postman): they get the same file with the public package, from a descriptor pool that nothing else shares.
Reflection itself has two names, `v1` and the older `v1alpha`, which alone grpcio's library knows: but for the package
they are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from google.protobuf import descriptor_pb2, descriptor_pool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from foresail_runtime.grpc import oip_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.descriptor import FileDescriptor

PUBLIC_PACKAGE: Final = "inference"
SERVICE: Final = f"{PUBLIC_PACKAGE}.GRPCInferenceService"
"""The name that calls are addressed to."""
_NEWER_PACKAGE: Final = "grpc.reflection.v1"
NEWER_REFLECTION: Final = f"{_NEWER_PACKAGE}.ServerReflection"


def pool() -> descriptor_pool.DescriptorPool:
    """Return the descriptors of every service that the server answers for."""
    made = descriptor_pool.DescriptorPool()
    made.Add(public(oip_pb2.DESCRIPTOR))
    for module in (health_pb2, reflection_pb2):
        made.Add(_proto(module.DESCRIPTOR))
    newer = _renamed(reflection_pb2.DESCRIPTOR, _NEWER_PACKAGE)
    newer.name = "grpc/reflection/v1/reflection.proto"
    made.Add(newer)
    return made


def public(file: FileDescriptor) -> descriptor_pb2.FileDescriptorProto:
    """Return the file as it reads with the public package."""
    return _renamed(file, PUBLIC_PACKAGE)


def _renamed(file: FileDescriptor, package: str) -> descriptor_pb2.FileDescriptorProto:
    proto = _proto(file)
    own, known = f".{file.package}.", f".{package}."
    proto.package = package
    for field in _fields(proto.message_type):
        if field.type_name:  # written where there is none, it would make the field a message
            field.type_name = field.type_name.replace(own, known)
    for service in proto.service:
        for method in service.method:
            method.input_type = method.input_type.replace(own, known)
            method.output_type = method.output_type.replace(own, known)
    return proto


def _fields(messages: Iterable[descriptor_pb2.DescriptorProto]) -> Iterable[descriptor_pb2.FieldDescriptorProto]:
    for message in messages:
        yield from message.field
        yield from _fields(message.nested_type)


def _proto(file: FileDescriptor) -> descriptor_pb2.FileDescriptorProto:
    proto = descriptor_pb2.FileDescriptorProto()
    file.CopyToProto(proto)
    return proto
