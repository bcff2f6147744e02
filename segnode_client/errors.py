"""The errors of a call.

::

    CallFailed
    ├── RequestRefused   the request cannot be done as it is; the same call never succeeds
    ├── TryLater         the same call may succeed later: a full queue, a full disk, a stopping service
    │   └── Unreachable  no service answers at the address
    ├── CallEnded        the call was cancelled or exceeded its timeout; its work has ended, too
    └── ServiceFailed    a fault of the service; its log has the details

Beside these, a wrong argument is a ``ValueError``.
"""

from typing import Final

import grpc
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from grpc_status import rpc_status

_FAULTS: Final = frozenset({"internal_error", "worker_died", "model_unusable", "service_misconfigured"})
_ENDS: Final = frozenset({"cancelled", "deadline_exceeded"})
_FAULT_STATUS: Final = frozenset(
    {grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.DATA_LOSS, grpc.StatusCode.ABORTED}
)


class CallFailed(Exception):
    """The service refused or failed a call.

    Attributes
    ----------
    code
        A code of the service's ``docs/refusals.md`` and ``docs/service.md``, such as ``wrong_phase``; for
        an error on the way, the name of gRPC's status in small letters, such as ``unavailable``.
    message
        The same for a person.
    retry
        Whether the same call may succeed later.
    retry_after_s
        Seconds after which the service asks for a retry; 0 if it states none.
    """

    def __init__(self, code: str, message: str, *, retry: bool = False, retry_after_s: float = 0.0) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retry = retry
        self.retry_after_s = retry_after_s


class RequestRefused(CallFailed):
    """The request, or its images, cannot be processed as they are."""


class TryLater(CallFailed):
    """The same call may succeed later."""


class Unreachable(TryLater):
    """No service answers at the address."""


class CallEnded(CallFailed):
    """The call was cancelled or exceeded its timeout."""


class ServiceFailed(CallFailed):
    """The service has a fault."""


def failed_with(code: str, message: str, *, retry: bool, retry_after_s: float = 0.0) -> CallFailed:
    """Convert a problem that the service states to an error."""
    kind: type[CallFailed] = RequestRefused
    if code in _ENDS:
        kind = CallEnded
    elif code in _FAULTS:
        kind = ServiceFailed
    elif retry:
        kind = TryLater
    return kind(code, message, retry=retry, retry_after_s=retry_after_s)


def failure_of(error: grpc.RpcError, address: str) -> CallFailed:
    """Convert an error of gRPC to one of this module.

    Parameters
    ----------
    error
        The error that gRPC raised.
    address
        Address of the service.
    """
    assert isinstance(error, grpc.Call)  # noqa: S101 - for the type checker; every error of a call is one
    status, text = error.code(), error.details() or ""
    info, retry = ErrorInfo(), RetryInfo()
    for detail in getattr(rpc_status.from_call(error), "details", ()):
        detail.Unpack(info)
        detail.Unpack(retry)
    if info.reason:
        delay = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
        return failed_with(info.reason, text, retry=info.metadata["retry"] == "true", retry_after_s=delay)
    code = status.name.lower()
    # A balancer whose instance died in mid-answer resets the stream, which is INTERNAL here.
    if status is grpc.StatusCode.UNAVAILABLE or (status is grpc.StatusCode.INTERNAL and "RST_STREAM" in text):
        reason = text.rsplit(": ", 1)[-1].rstrip(".")
        remedy = "check the address, that the service runs there, and whether it wants TLS"
        return Unreachable("unavailable", f"{address} does not answer ({reason}): {remedy}", retry=True)
    if status is grpc.StatusCode.RESOURCE_EXHAUSTED and "message larger than max" not in text:
        return TryLater(code, text, retry=True)
    if code in _ENDS:
        return CallEnded(code, text)
    return ServiceFailed(code, text) if status in _FAULT_STATUS else RequestRefused(code, text)
