"""Messages of ``segnode.v1`` and what they mean: requests in, jobs and problems out."""

from typing import Any, Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from segnode_client.v1 import segmentation_pb2 as messages
from services.jobs.job import Job, Problem
from services.jobs.requests import AnyRequest, parse_request
from services.offered_models import OfferedModels
from services.problems import grpc_code

_PREFIXES: Final = ("OUTPUT_", "REGISTRATION_", "SMOOTH_METHOD_")


def request_of(message: messages.JobRequest) -> AnyRequest:
    """Return the request of any kind that a message holds.

    Raises
    ------
    RequestRefused
        ``invalid_request``.
    """
    kind = message.WhichOneof("request")
    return task_request(kind or "", getattr(message, kind) if kind else message)


def task_request(task: str, message: Message) -> AnyRequest:
    """Convert a task's own message to a request.

    Raises
    ------
    RequestRefused
        ``invalid_request``.
    """
    content = MessageToDict(message, preserving_proto_field_name=True)
    return parse_request({**_plain(content), "task": task})


def job_message(job: Job) -> messages.Job:
    """Convert a job to a message."""
    content = job.model_dump(mode="json", exclude_none=True)
    for mask in content.get("masks", {}).values():  # a map has no order
        mask["volumes"] = [{"label": label, "ml": ml} for label, ml in mask["volumes_ml"].items()]
    message: messages.Job = ParseDict({**content, "state": f"STATE_{job.state.upper()}"}, messages.Job())
    return message


def models_message(models: OfferedModels) -> messages.ListModelsResponse:
    """Convert the list of models to a message."""
    message: messages.ListModelsResponse = ParseDict(models.model_dump(mode="json"), messages.ListModelsResponse())
    return message


def status_of(problem: Problem, retry_after_s: int) -> Status:
    """Convert a problem to a status with its details.

    Parameters
    ----------
    problem
        The reason why a call ends.
    retry_after_s
        Seconds that callers are told to wait, if the same call may succeed later.
    """
    details: list[Message] = [
        ErrorInfo(reason=problem.code, domain="segnode", metadata={"retry": str(problem.retry).lower()})
    ]
    if problem.retry:
        details.append(RetryInfo(retry_delay=Duration(seconds=retry_after_s)))
    status = Status(code=grpc_code(problem).value[0], message=problem.message)
    for detail in details:
        status.details.add().Pack(detail)
    return status


def _plain(value: Any) -> Any:
    """Convert enumerations to REST's names: ``REGISTRATION_RIGID`` is ``rigid``."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    prefix = next((p for p in _PREFIXES if isinstance(value, str) and value.startswith(p)), None)
    return value if prefix is None else value.removeprefix(prefix).lower()
