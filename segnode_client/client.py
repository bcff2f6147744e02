"""The client: one method for each endpoint."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import grpc
from google.protobuf.json_format import ParseDict

from segnode_client.errors import CallFailed
from segnode_client.results import Job, Mask
from segnode_client.v1 import segmentation_pb2 as messages
from segnode_client.v1 import segmentation_pb2_grpc as stubs

Task = Literal["totalseg", "vessel", "ureter", "tumor"]
SharedPath: TypeAlias = str | Path

RETRIES = {
    "methodConfig": [
        {
            "name": [{"service": "segnode.v1.Segmentation"}],
            "waitForReady": True,
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.5s",
                "maxBackoff": "10s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
            },
        }
    ]
}
"""A call that comes again finds the mask that the one before made."""


@dataclass(frozen=True)
class Tls:
    """Files for an encrypted connection.

    Attributes
    ----------
    ca
        Who may have signed the service's certificate; None: the system's.
    certificate, key
        What this program shows, where the service asks for it.
    """

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """The same for gRPC."""
        ca, key, certificate = (
            path.read_bytes() if path is not None else None for path in (self.ca, self.key, self.certificate)
        )
        return grpc.ssl_channel_credentials(ca, key, certificate)


class Client:
    """A connection to the service; use it in a ``with``, from as many threads as you like.

    Paths are named as this program sees the shared volume, if the service knows that view (``seen_as``), or as
    ``ROOT:relative/path``. Every method raises :class:`CallFailed`.

    Parameters
    ----------
    address
        ``host:port``.
    tls
        None: not encrypted.
    token
        Shown with every call.
    timeout_s
        How long a call may take; the work is ended with it.
    """

    def __init__(
        self, address: str, *, tls: Tls | None = None, token: str | None = None, timeout_s: float = 3600.0
    ) -> None:
        options = [("grpc.service_config", json.dumps(RETRIES))]
        if tls is None:
            self._channel = grpc.insecure_channel(address, options)
        else:
            self._channel = grpc.secure_channel(address, tls.credentials(), options)
        make_stub: Any = stubs.SegmentationStub  # generated without types
        self._stub = make_stub(self._channel)
        self._call: dict[str, Any] = {"timeout": timeout_s}
        if token is not None:
            self._call["metadata"] = [("authorization", f"Bearer {token}")]

    def __enter__(self) -> "Client":
        """The client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close the connection; calls under way are cancelled."""
        self._channel.close()

    def totalseg(self, image: SharedPath, *, force: bool = False, dicom_seg: bool = False) -> Mask:
        """Organs, on the image's own grid."""
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
        """Kidney, artery and vein in the space of A, of arterial and portal phase; ``register`` moves P onto A."""
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
        """Ureter and kidney, of a delayed phase."""
        return self._mask("Ureter", "ureter", image_D_path=image_d, force=force, dicom_seg=dicom_seg)

    def tumor(self, image: SharedPath, *, force: bool = False, dicom_seg: bool = False) -> Mask:
        """Kidney and tumour."""
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
        """Several of the above on one reading of each image, by task."""
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
        with _failures():
            answer = self._stub.Batch(message, **self._call)
        return {task: Mask.of(mask) for task, mask in answer.masks.items()}

    def smooth(
        self,
        mask: SharedPath,
        strength_mm: float,
        *,
        labels: Sequence[str] = (),
        method: Literal["gaussian", "open"] = "gaussian",
        force: bool = False,
    ) -> Mask:
        """A smoothed copy of a mask beside it; labels by name or value, none: all."""
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
        """A post-processed copy of a mask beside it; steps as in ``model.yaml``."""
        return self._mask("PostprocessMask", "postprocess", mask_path=mask, steps=list(steps), force=force)

    def run(self, task: str, **request: Any) -> Iterator[Job]:
        """Any task with progress: the job at each change, until it is at its end; to stop listening ends it.

        Parameters
        ----------
        task
            ``totalseg``, ``vessel``, ``ureter``, ``tumor``, ``batch``, ``smooth`` or ``postprocess``.
        **request
            Fields of the endpoint's request.
        """
        with _failures():
            for message in self._stub.Run(_job_request(task, request), **self._call):
                yield Job.of(message)

    def submit(self, task: str, **request: Any) -> Job:
        """Queue any task and do not wait; parameters as of :meth:`run`."""
        with _failures():
            return Job.of(self._stub.SubmitJob(_job_request(task, request), **self._call))

    def job(self, job_id: str) -> Job:
        """How far a job is."""
        with _failures():
            return Job.of(self._stub.GetJob(messages.JobReference(id=job_id), **self._call))

    def cancel(self, job_id: str) -> Job:
        """End a job."""
        with _failures():
            return Job.of(self._stub.CancelJob(messages.JobReference(id=job_id), **self._call))

    def _mask(self, rpc: str, task: str, **request: Any) -> Mask:
        with _failures():
            return Mask.of(getattr(self._stub, rpc)(_message(task, **request), **self._call))


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except grpc.RpcError as error:
        raise CallFailed.of(error) from error


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
        raise ValueError(f"{task!r} is none of {known}")
    return ParseDict(content, getattr(messages.JobRequest(), task).__class__())
