"""SystemSharedMemoryRegister, -Status and -Unregister; of CUDA's there is nothing to tell, and nothing is taken."""

from collections.abc import Callable

from google.protobuf.message import Message

from server.errors import UnknownRegion, Unsupported
from server.rpc.questions import Questions
from server.rpc.shared_memory.placing import Regions
from server.rpc.transport.call import Call, Handler
from server.texts import shown
from wire import inference_pb2 as pb

_SERVICE = "/inference.GRPCInferenceService/"
_MOST_BYTES = 64 << 10
"""Of a call: names, keys and numbers."""


class SharedMemoryCalls:
    """Answers on a thread of their own: closing the last that is left of a large file may take the system a while."""

    def __init__(self, regions: Regions) -> None:
        self._regions, self._registry = regions, regions.registry
        self._questions = Questions("shared-memory")

    def handlers(self) -> dict[str, Handler]:
        """Method path -> handler."""
        unary = self._questions.unary
        ours = {
            "Register": unary(pb.SystemSharedMemoryRegisterRequest, self._register),
            "Status": unary(pb.SystemSharedMemoryStatusRequest, self._status),
            "Unregister": unary(pb.SystemSharedMemoryUnregisterRequest, self._unregister),
        }
        cuda = {
            "Register": unary(pb.CudaSharedMemoryRegisterRequest, _no_cuda),
            "Status": unary(pb.CudaSharedMemoryStatusRequest, _cuda_status),
            "Unregister": unary(pb.CudaSharedMemoryUnregisterRequest, _cuda_unregister),
        }
        return {
            **{f"{_SERVICE}SystemSharedMemory{name}": self._local(f) for name, f in ours.items()},
            **{f"{_SERVICE}CudaSharedMemory{name}": _handler(f) for name, f in cuda.items()},
        }

    def close(self) -> None:
        """Answer what was asked, end the thread, let go of all regions. After the front has stopped."""
        self._questions.close()
        self._registry.unregister()

    def _local(self, function: Callable[[Call, bytes | None], None]) -> Handler:
        def checked(call: Call, data: bytes | None) -> None:
            self._regions.check(call.peer)
            function(call, data)

        return _handler(checked)

    def _register(self, request: pb.SystemSharedMemoryRegisterRequest) -> Message:
        self._registry.register(request.name, request.key, request.offset, request.byte_size)
        return pb.SystemSharedMemoryRegisterResponse()

    def _status(self, request: pb.SystemSharedMemoryStatusRequest) -> Message:
        response = pb.SystemSharedMemoryStatusResponse()
        for one in self._registry.listed(request.name):
            status = response.regions[one.name]
            status.name, status.key = one.name, one.file.key
            status.offset, status.byte_size = one.offset, one.byte_size
        return response

    def _unregister(self, request: pb.SystemSharedMemoryUnregisterRequest) -> Message:
        self._registry.unregister(request.name)
        return pb.SystemSharedMemoryUnregisterResponse()


def _handler(function: Callable[[Call, bytes | None], None]) -> Handler:
    return Handler(function, most_bytes=_MOST_BYTES)


def _no_cuda(_: pb.CudaSharedMemoryRegisterRequest) -> Message:
    raise Unsupported("CUDA shared memory is not served here; use system shared memory")


def _cuda_status(request: pb.CudaSharedMemoryStatusRequest) -> Message:
    if request.name:
        raise UnknownRegion(f"Unable to find cuda shared memory region: '{shown(request.name)}'")
    return pb.CudaSharedMemoryStatusResponse()


def _cuda_unregister(_: pb.CudaSharedMemoryUnregisterRequest) -> Message:
    return pb.CudaSharedMemoryUnregisterResponse()  # none of that name, as it is wanted
