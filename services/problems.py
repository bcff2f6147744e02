"""The status of a problem in each protocol."""

from http import HTTPStatus
from typing import Final

import grpc

from services.jobs.job import Problem

_OWN_FAULTS: Final = frozenset({"internal_error", "worker_died", "model_unusable", "service_misconfigured"})

GRPC_CODES: Final = {
    "invalid_request": grpc.StatusCode.INVALID_ARGUMENT,
    "unauthenticated": grpc.StatusCode.UNAUTHENTICATED,
    "path_outside_roots": grpc.StatusCode.PERMISSION_DENIED,
    "no_such_file": grpc.StatusCode.NOT_FOUND,
    "unknown_job": grpc.StatusCode.NOT_FOUND,
    "unknown_alias": grpc.StatusCode.NOT_FOUND,
    "package_undecided": grpc.StatusCode.FAILED_PRECONDITION,
    "unknown_path": grpc.StatusCode.UNIMPLEMENTED,
    "method_not_allowed": grpc.StatusCode.UNIMPLEMENTED,
    "mask_in_the_way": grpc.StatusCode.ALREADY_EXISTS,
    "queue_full": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "retry_later": grpc.StatusCode.UNAVAILABLE,
    "cancelled": grpc.StatusCode.CANCELLED,
    "deadline_exceeded": grpc.StatusCode.DEADLINE_EXCEEDED,
    "job_too_long": grpc.StatusCode.DEADLINE_EXCEEDED,
    **dict.fromkeys(_OWN_FAULTS, grpc.StatusCode.INTERNAL),
}
"""Every other code is a reason of the images: they do not meet the preconditions of the call."""

HTTP_STATUS: Final = {
    "invalid_request": HTTPStatus.UNPROCESSABLE_ENTITY,
    "unauthenticated": HTTPStatus.UNAUTHORIZED,
    "path_outside_roots": HTTPStatus.FORBIDDEN,
    "no_such_file": HTTPStatus.NOT_FOUND,
    "unknown_job": HTTPStatus.NOT_FOUND,
    "unknown_alias": HTTPStatus.NOT_FOUND,
    "package_undecided": HTTPStatus.CONFLICT,
    "unknown_path": HTTPStatus.NOT_FOUND,
    "method_not_allowed": HTTPStatus.METHOD_NOT_ALLOWED,
    "mask_in_the_way": HTTPStatus.CONFLICT,
    "queue_full": HTTPStatus.TOO_MANY_REQUESTS,
    "retry_later": HTTPStatus.SERVICE_UNAVAILABLE,
    "cancelled": HTTPStatus.CONFLICT,
    "deadline_exceeded": HTTPStatus.GATEWAY_TIMEOUT,
    "job_too_long": HTTPStatus.GATEWAY_TIMEOUT,
    **dict.fromkeys(_OWN_FAULTS, HTTPStatus.INTERNAL_SERVER_ERROR),
}


def grpc_code(problem: Problem) -> grpc.StatusCode:
    """Return the status of a gRPC call."""
    return GRPC_CODES.get(problem.code, grpc.StatusCode.FAILED_PRECONDITION)


def http_status(problem: Problem) -> HTTPStatus:
    """Return the status of an HTTP response."""
    return HTTP_STATUS.get(problem.code, HTTPStatus.UNPROCESSABLE_ENTITY)
