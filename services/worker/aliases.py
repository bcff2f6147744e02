"""The model package of each task, which can be changed, and changed back, while the service runs."""

from collections.abc import Callable
from pathlib import Path

from pydantic import Field, ValidationError

from core.errors import ConfigInvalid, RequestCode, RequestRefused
from core.files import locked, replace_file
from core.frozen import Frozen
from segmentation.package.package import Package, load_package
from segmentation.package.store import default_models_path, find_package
from services.jobs.requests import PHASE_OF_FIELD, image_fields
from services.settings import ServiceSettings
from services.tasks import Task

KEPT = 20
"""Earlier packages of a task that are remembered."""


class Alias(Frozen):
    """The package of one task, and the earlier ones, the latest first."""

    model: str
    earlier: tuple[str, ...] = ()


class _Content(Frozen):
    aliases: dict[Task, Alias] = Field(default={})


class Aliases:
    """The file of aliases in the service's work folder; it is read for every job.

    Parameters
    ----------
    settings
        Their ``aliases`` apply until one is set here.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self._path = settings.work / "aliases.json"
        self._first = {task: Alias(model=model) for task, model in settings.aliases.items()}
        self._models = [settings.models] if settings.models is not None else default_models_path()

    def read(self) -> dict[Task, Alias]:
        """Return all aliases that are set.

        Raises
        ------
        ConfigInvalid
            If the file is damaged.
        """
        return self._first | self._changed()

    def _changed(self) -> dict[Task, Alias]:
        try:
            return _Content.model_validate_json(self._path.read_bytes()).aliases
        except FileNotFoundError:
            return {}
        except ValidationError as error:
            raise ConfigInvalid(f"{self._path}: the file is damaged; remove it and set the aliases again") from error

    def package(self, task: Task) -> Path:
        """Return the folder of a task's package.

        Raises
        ------
        RequestRefused
            ``invalid_request`` if none is set.
        PackageInvalid
            If the package does not exist.
        """
        alias = self.read().get(task)
        if alias is None:
            detail = f"{task} has no model yet; set one with: segnode aliases set {task} NAME."
            raise RequestRefused(RequestCode.INVALID_REQUEST, detail)
        return find_package(alias.model, self._models)

    def set(self, task: Task, model: str) -> Alias:
        """Set a task's package from the next job on.

        Raises
        ------
        PackageInvalid
            If it cannot be loaded.
        ConfigInvalid
            If it takes other images than the task provides.
        """
        check_fits(task, load_package(find_package(model, self._models)))
        return self._change(task, lambda alias: Alias(model=model, earlier=_chain(alias)))

    def revert(self, task: Task) -> Alias:
        """Set a task's package back to the one before.

        Raises
        ------
        ConfigInvalid
            If there was none.
        """

        def back(alias: Alias | None) -> Alias:
            if alias is None or not alias.earlier:
                raise ConfigInvalid(f"{task}: it had no other package before")
            check_fits(task, load_package(find_package(alias.earlier[0], self._models)))
            return Alias(model=alias.earlier[0], earlier=alias.earlier[1:])

        return self._change(task, back)

    def _change(self, task: Task, change: Callable[[Alias | None], Alias]) -> Alias:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with locked(self._path.with_suffix(".lock")):
            changed = self._changed()
            changed[task] = change(self.read().get(task))
            replace_file(self._path, _Content(aliases=changed).model_dump_json(indent=2).encode() + b"\n")
        return changed[task]


def _chain(alias: Alias | None) -> tuple[str, ...]:
    return () if alias is None else (alias.model, *alias.earlier)[:KEPT]


def check_fits(task: Task, package: Package) -> None:
    """Check that a package takes the images of a task.

    Raises
    ------
    ConfigInvalid
        If it has another number of channels, or one whose rule does not name the phase that the task gives it.
    """
    fields, channels = image_fields(task), package.config.channels
    if len(fields) != len(channels):
        raise ConfigInvalid(f"{task} provides {len(fields)} images, but {package.name} takes {len(channels)}")
    for field, channel in zip(fields, channels, strict=True):
        phase, wanted = PHASE_OF_FIELD.get(field), channel.series.phase
        if phase is None or phase in wanted:
            continue
        # A program cannot tell two phases apart: unless the model names them, they could be swapped.
        takes = " or ".join(wanted) or f"any phase; name it in its model.yaml (series: {{phase: [{phase}]}})"
        raise ConfigInvalid(f"{field} is {phase}, but channel {channel.name} of {package.name} takes {takes}")
