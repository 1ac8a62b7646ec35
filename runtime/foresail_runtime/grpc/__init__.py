"""The Open Inference Protocol over gRPC, on grpcio.aio.

`server` owns the port, `service` answers calls, `messages` turns protobuf into tensors and back, `reflect` describes
the service under its public name, `oip_pb2` is made of oip.proto.

All calls run on the event loop's thread, as REST's do, and go through the same door (`serving`); grpcio has a thread
of its own that moves bytes and touches none of our objects.
"""
