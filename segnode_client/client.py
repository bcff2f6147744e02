"""The client: one method for each endpoint."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias
from uuid import uuid4

from google.protobuf.json_format import ParseDict, ParseError

from segnode_client.connection import Connection, Limits, Tls
from segnode_client.results import Job, Mask, Model
from segnode_client.v1 import segmentation_pb2 as messages
from segnode_client.v1 import segmentation_pb2_grpc as stubs

Task = Literal["totalseg", "vessel", "ureter", "tumor"]
SharedPath: TypeAlias = str | Path

SHORT_CALL_S: Final = 30.0
"""Longest time in seconds of a call that does not wait for work."""


class Client:
    """A connection to the service; use it in a ``with``, from any number of threads.

    Paths are named as this program sees the shared volume, if the service knows that view (``seen_as``), or as
    ``ROOT:relative/path``. Every method that calls raises :class:`CallFailed`, and `ValueError` for a wrong argument.

    A call is retried if its connection breaks, the queue is full or the service is unreachable. It carries an
    idempotency key, so that the service does its work once.

    Parameters
    ----------
    address
        ``host:port``; of IPv6 ``[host]:port``.
    tls
        Files for encryption; None: not encrypted.
    token
        Sent with every call.
    plaintext_token
        Whether to send it to another machine although ``tls`` is None: a mesh, say, encrypts the connection.
    timeout_s
        Longest time of a call; its work ends with it.
    connect_timeout_s
        Longest time to reach the service for the first time.
    patience_s
        Longest wait for a service that was reached before and is unreachable now, or whose queue is full.

    Raises
    ------
    ValueError
        If the token would be sent to another machine unencrypted.
    OSError
        If a file of ``tls`` cannot be read.
    """

    def __init__(
        self,
        address: str,
        *,
        tls: Tls | None = None,
        token: str | None = None,
        plaintext_token: bool = False,
        timeout_s: float = 3600.0,
        connect_timeout_s: float = 5.0,
        patience_s: float = 60.0,
    ) -> None:
        limits = Limits(timeout_s, connect_timeout_s, patience_s)
        self._connection = Connection(address, tls, token, plaintext_token=plaintext_token, limits=limits)
        make_stub: Any = stubs.SegmentationStub  # generated without types
        self._stub = make_stub(self._connection.channel)

    def __enter__(self) -> "Client":
        """Return the client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close the connection; calls under way are cancelled."""
        self._connection.channel.close()

    def totalseg(self, image: SharedPath, *, force: bool = False, dicom_seg: bool = False) -> Mask:
        """Segment organs, on the image's own grid."""
        return self._mask("Totalseg", "totalseg", image_path=image, force=force, dicom_seg=dicom_seg)

    def vessel(
        self,
        image_a: SharedPath,
        image_p: SharedPath,
        *,
        register: bool = False,
        force: bool = False,
        dicom_seg: bool = False,
    ) -> Mask:
        """Segment kidney, artery and vein in A's space from arterial and portal phase; ``register`` moves P onto A."""
        return self._mask(
            "Vessel",
            "vessel",
            image_A_path=image_a,
            image_P_path=image_p,
            register=register,
            force=force,
            dicom_seg=dicom_seg,
        )

    def ureter(self, image_d: SharedPath, *, force: bool = False, dicom_seg: bool = False) -> Mask:
        """Segment ureter and kidney, of a delayed phase."""
        return self._mask("Ureter", "ureter", image_D_path=image_d, force=force, dicom_seg=dicom_seg)

    def tumor(self, image: SharedPath, *, force: bool = False, dicom_seg: bool = False) -> Mask:
        """Segment kidney and tumour."""
        return self._mask("Tumor", "tumor", image_path=image, force=force, dicom_seg=dicom_seg)

    def batch(
        self,
        tasks: Sequence[Task],
        *,
        image: SharedPath | None = None,
        image_a: SharedPath | None = None,
        image_p: SharedPath | None = None,
        image_d: SharedPath | None = None,
        register: bool = False,
        force: bool = False,
        dicom_seg: bool = False,
    ) -> dict[str, Mask]:
        """Run several of the above on one reading of each image; masks come by task."""
        message = _message(
            "batch",
            tasks=list(tasks),
            image_path=image,
            image_A_path=image_a,
            image_P_path=image_p,
            image_D_path=image_d,
            register=register,
            force=force,
            dicom_seg=dicom_seg,
        )
        answer = self._connection.call(self._stub.Batch, message, key=_new_key())
        return {task: Mask.of(mask) for task, mask in answer.masks.items()}

    def inference(
        self,
        alias: str,
        image: SharedPath | None = None,
        *,
        images: Mapping[str, SharedPath] | None = None,
        force: bool = False,
        dicom_seg: bool = False,
    ) -> Mask:
        """Segment by the model behind any alias: of one image, or of an image for each channel by its name."""
        paths = {channel: str(path) for channel, path in (images or {}).items()}
        request: dict[str, Any] = {
            "alias": alias,
            "image_path": image,
            "images": paths,
            "force": force,
            "dicom_seg": dicom_seg,
        }
        *_, job = self.run("alias", **request)
        if job.failure is not None:
            raise job.failure
        return job.masks[alias]

    def models(self) -> tuple[Model, ...]:
        """List the models of the service by alias."""
        answer = self._connection.call(self._stub.ListModels, messages.ListModelsRequest(), longest_s=SHORT_CALL_S)
        return tuple(Model.of(model) for model in answer.models)

    def smooth(
        self,
        mask: SharedPath,
        strength_mm: float,
        *,
        labels: Sequence[str] = (),
        method: Literal["gaussian", "open"] = "gaussian",
        force: bool = False,
    ) -> Mask:
        """Make a smoothed copy of a mask beside it; labels by name or value, none: all."""
        name = f"SMOOTH_METHOD_{method.upper()}"
        return self._mask(
            "SmoothMask",
            "smooth",
            mask_path=mask,
            strength=strength_mm,
            labels=list(labels),
            method=name,
            force=force,
        )

    def postprocess(self, mask: SharedPath, steps: Sequence[Mapping[str, Any]], *, force: bool = False) -> Mask:
        """Make a post-processed copy of a mask beside it; steps as in ``model.yaml``."""
        return self._mask("PostprocessMask", "postprocess", mask_path=mask, steps=list(steps), force=force)

    def run(self, task: str, *, idempotency_key: str | None = None, **request: Any) -> Iterator[Job]:
        """Run any task, and yield its job at each change until its end; to stop the iteration cancels it.

        Parameters
        ----------
        task
            ``totalseg``, ``vessel``, ``ureter``, ``tumor``, ``batch``, ``smooth``, ``postprocess`` or ``alias``.
        idempotency_key
            A UUID by which the service recognizes a repeated call, also of another process; None: a new one.
        **request
            Fields of the endpoint's request.
        """
        message, last = _job_request(task, request), None
        for answer in self._connection.stream(self._stub.Run, message, key=idempotency_key or _new_key()):
            if (job := Job.of(answer)) != last:  # what comes again says that the service is still there
                last = job
                yield job

    def submit(self, task: str, *, idempotency_key: str | None = None, **request: Any) -> Job:
        """Queue any task and do not wait; parameters are those of :meth:`run`."""
        message, key = _job_request(task, request), idempotency_key or _new_key()
        return Job.of(self._connection.call(self._stub.SubmitJob, message, key=key, longest_s=SHORT_CALL_S))

    def job(self, job_id: str) -> Job:
        """Return a job and its progress."""
        return self._of_job(self._stub.GetJob, job_id)

    def cancel(self, job_id: str) -> Job:
        """Cancel a job."""
        return self._of_job(self._stub.CancelJob, job_id)

    def _of_job(self, rpc: Any, job_id: str) -> Job:
        return Job.of(self._connection.call(rpc, messages.JobReference(id=job_id), longest_s=SHORT_CALL_S))

    def _mask(self, rpc: str, task: str, **request: Any) -> Mask:
        message = _message(task, **request)
        return Mask.of(self._connection.call(getattr(self._stub, rpc), message, key=_new_key()))


def _new_key() -> str:
    return str(uuid4())


def _job_request(task: str, request: Mapping[str, Any]) -> messages.JobRequest:
    return messages.JobRequest(**{task: _message(task, **request)})


def _message(task: str, *, register: bool = False, dicom_seg: bool = False, **fields: Any) -> Any:
    content = {name: str(value) if isinstance(value, Path) else value for name, value in fields.items()}
    content = {name: value for name, value in content.items() if value is not None}
    if register:
        content["registration"] = "REGISTRATION_RIGID"
    if dicom_seg:
        content["output"] = ["OUTPUT_DICOM_SEG"]
    oneof = messages.JobRequest.DESCRIPTOR.fields_by_name.get(task)
    if oneof is None:
        known = ", ".join(messages.JobRequest.DESCRIPTOR.fields_by_name)
        raise ValueError(f"{task!r} is not a task; give one of {known}")
    try:
        return ParseDict(content, getattr(messages.JobRequest(), task).__class__())
    except ParseError as error:
        raise ValueError(f"{task}: {error}") from error
