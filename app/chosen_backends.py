"""The profile and backend of a study's models, repeated from an earlier try where this process can."""

from dataclasses import replace
from typing import cast

from app.study_run import Choices
from core.backend import Backend, BackendName, Precision
from core.event_log import EventLog
from core.model_config import Profile
from dicom_io.spool.records import RecordedChoice
from segmentation.backends.choice import backend_of, can_run
from segmentation.package.package import Package

_log = EventLog()


def as_chosen(package: Package, choices: Choices, device: str) -> Package:
    """Return a model's package as an earlier try ran it, or as it is where there was none or it cannot be repeated.

    Parameters
    ----------
    package
        As it runs here if nobody has tried (`segmentation.backends.choice.settle`).
    choices
        Those of the earlier try.
    device
        ``cpu`` or ``cuda``.
    """
    before = choices.get(package.name)
    if before is None or before.package != package.sha256 or before == choice_of(package, device):
        return package
    backend = Backend(cast("BackendName", before.backend), before.version, cast("Precision", before.precision))
    if not can_run(backend, package, device):
        _log.warning("choice_not_repeated", model=package.name, profile=before.profile, backend=str(backend))
        return package
    chosen = None if before.as_before else backend
    options = replace(package.options, profile=cast("Profile", before.profile), backend=chosen)
    return package.with_options(options)


def choice_of(package: Package, device: str) -> RecordedChoice:
    """Return what is noted of a settled package."""
    backend = backend_of(package, device)
    return RecordedChoice(
        package.sha256,
        package.inference.profile,
        backend.name,
        backend.version,
        backend.precision,
        package.options.backend is None,
    )
