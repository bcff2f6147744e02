"""What a call can end with."""

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status


class CallFailed(Exception):
    """The service refused or failed a call.

    Attributes
    ----------
    code
        Why, as a code of the service's ``docs/refusals.md``, such as ``wrong_phase``; for what happened on the way, the
        name of gRPC's status in small letters, such as ``unavailable``.
    message
        The same for a person.
    retry
        Whether the same call may succeed later.
    """

    def __init__(self, code: str, message: str, *, retry: bool) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retry = retry

    @classmethod
    def of(cls, error: grpc.RpcError) -> "CallFailed":
        """What a failed gRPC call says."""
        assert isinstance(error, grpc.Call)  # noqa: S101 - for the type checker; every error of a call is one
        status = rpc_status.from_call(error)
        for detail in status.details if status is not None else ():
            info = ErrorInfo()
            if detail.Unpack(info):
                return cls(info.reason, error.details() or "", retry=info.metadata["retry"] == "true")
        return cls(error.code().name.lower(), error.details() or "", retry=error.code() is grpc.StatusCode.UNAVAILABLE)
