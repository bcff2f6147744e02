"""What a worker does with a job: one step, whose outcome is the job's answer."""

import logging
import time
import traceback
from pathlib import Path
from typing import Any, Final

from dbos import DBOS, DBOSConfiguredInstance
from pydantic import TypeAdapter

from core.errors import SegnodeError, Superseded
from segmentation.warm_models import WarmModels
from services.inference import Inference
from services.jobs import INSTANCE, Problem, Progress, workflow_id
from services.mask_work import change_mask
from services.models import Packages
from services.requests import AnyRequest, PostprocessRequest, SmoothRequest
from services.results import MaskResult
from services.roots import Roots

MAX_DEATHS: Final = 3
"""How often a worker may die over one job."""
LOOK_EVERY_S: Final = 0.5
"""Between two looks whether a job that runs was cancelled."""

_log = logging.getLogger("segnode")
_ANY: Final[TypeAdapter[AnyRequest]] = TypeAdapter(AnyRequest)


@DBOS.dbos_class()
class ServiceFlow(DBOSConfiguredInstance):
    """The workflow of a job, bound to one worker's volume and models.

    Parameters
    ----------
    roots, packages, networks
        What jobs may read and write, and what they run.
    work
        The service's work folder.
    """

    def __init__(self, roots: Roots, packages: Packages, networks: WarmModels, work: Path) -> None:
        self._roots = roots
        self._packages = packages
        self._networks = networks
        self._locks = work / "locks"
        self._locks.mkdir(parents=True, exist_ok=True)
        self._progress = Progress(work)
        super().__init__(INSTANCE)

    @DBOS.workflow(max_recovery_attempts=MAX_DEATHS)
    def run(self, job: str, request: dict[str, Any]) -> dict[str, Any]:
        """Do one job; what went wrong is part of the answer, since an exception's text would be kept as it is."""
        return self.answer(job, request)

    @DBOS.step()
    def answer(self, job: str, request: dict[str, Any]) -> dict[str, Any]:
        """Make the masks."""
        start = time.perf_counter()
        try:
            masks = self._masks(job, _ANY.validate_python(request))
            answer: dict[str, Any] = {"masks": {task: mask.model_dump(mode="json") for task, mask in masks.items()}}
        except Superseded:
            answer = {"problem": Problem(code="cancelled", message="The job was cancelled.").model_dump()}
        except SegnodeError as error:
            problem = Problem.of(error)
            if problem.code in ("model_unusable", "service_misconfigured"):
                _log.error("job_cannot_run", extra={"job": job, "problem": str(error)})
            answer = {"problem": problem.model_dump()}
        except Exception as error:  # noqa: BLE001 - a job's outermost loop: whatever happens, its caller gets an answer
            place = traceback.extract_tb(error.__traceback__)[-1]
            at = f"{Path(place.filename).name}:{place.lineno}"
            _log.error("job_failed", extra={"job": job, "error": type(error).__name__, "at": at})
            answer = {"problem": Problem(code="internal_error", message=f"{type(error).__name__} at {at}").model_dump()}
        finally:
            self._progress.forget(job)
        outcome = answer.get("problem", {}).get("code", "done")
        seconds = round(time.perf_counter() - start, 3)
        _log.info("job_ended", extra={"job": job, "task": request["task"], "outcome": outcome, "seconds": seconds})
        return answer

    def _masks(self, job: str, request: AnyRequest) -> dict[str, MaskResult]:
        on_progress = _Watch(job, self._progress)
        if isinstance(request, (SmoothRequest, PostprocessRequest)):
            return {request.task: change_mask(request, self._roots, self._locks, on_progress)}
        return Inference(self._roots, self._packages, self._networks, self._locks).run(request, on_progress)


class _Watch:
    """Shows how far a job is, and ends it where its caller has cancelled it."""

    def __init__(self, job: str, progress: Progress) -> None:
        self._job = job
        self._progress = progress
        self._looked = time.monotonic()

    def __call__(self, done: float) -> None:
        if time.monotonic() - self._looked < LOOK_EVERY_S:
            return
        self._looked = time.monotonic()
        self._progress.show(self._job, done)
        status = DBOS.get_workflow_status(workflow_id(self._job))
        if status is not None and status.status == "CANCELLED":
            raise Superseded("cancelled")
