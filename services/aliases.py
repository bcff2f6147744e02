"""The model package of each task and other alias, which can be changed, and changed back, while the service runs."""

from collections.abc import Callable
from pathlib import Path

from pydantic import Field, ValidationError

from core.errors import ConfigInvalid, RequestCode, RequestRefused
from core.file_locks import locked
from core.files import replace_file
from core.frozen import Frozen
from segmentation.package.open_decisions import require_decided
from segmentation.package.package import Package, load_package
from segmentation.package.store import default_models_path, find_package
from services.jobs.requests import PHASE_OF_FIELD, image_fields
from services.settings import ServiceSettings
from services.tasks import TASKS, AliasName, check_apart

KEPT = 20
"""Earlier packages of an alias that are remembered."""


class Alias(Frozen):
    """The package of one task or other alias, and the earlier ones, the latest first."""

    model: str
    earlier: tuple[str, ...] = ()


class _Content(Frozen):
    aliases: dict[AliasName, Alias] = Field(default={})


class Aliases:
    """The file of aliases in the service's work folder; it is read for every job.

    Parameters
    ----------
    settings
        Their ``aliases`` apply until one is set here.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self._path = settings.work / "aliases.json"
        self._first = {name: Alias(model=model) for name, model in settings.aliases.items()}
        self._models = [settings.models] if settings.models is not None else default_models_path()

    def read(self) -> dict[str, Alias]:
        """Return all aliases that are set.

        Raises
        ------
        ConfigInvalid
            If the file is damaged.
        """
        return self._first | self._changed()

    def _changed(self) -> dict[str, Alias]:
        try:
            return _Content.model_validate_json(self._path.read_bytes()).aliases
        except FileNotFoundError:
            return {}
        except ValidationError as error:
            raise ConfigInvalid(f"{self._path}: the file is damaged; remove it and set the aliases again") from error

    def package(self, name: str) -> Path:
        """Return the folder of an alias's package.

        Raises
        ------
        RequestRefused
            ``invalid_request`` if none is set for a task; ``unknown_alias``.
        PackageInvalid
            If the package does not exist.
        """
        alias = self.read().get(name)
        if alias is None and name not in TASKS:
            detail = "No model has this name here; GET /v1/models lists those that have one."
            raise RequestRefused(RequestCode.UNKNOWN_ALIAS, detail)
        if alias is None:
            detail = f"{name} has no model yet; set one with: segnode aliases set {name} NAME."
            raise RequestRefused(RequestCode.INVALID_REQUEST, detail)
        return find_package(alias.model, self._models)

    def set(self, name: str, model: str) -> Alias:
        """Set the package of a task or other alias from the next job on.

        Raises
        ------
        PackageInvalid
            If it cannot be loaded, or a question about it is open.
        ConfigInvalid
            If it takes other images than the task provides, or the alias's masks would have another's names.
        """
        check_fits(name, self._load(model))
        return self._change(name, lambda alias: Alias(model=model, earlier=_chain(alias)))

    def revert(self, name: str) -> Alias:
        """Set an alias's package back to the one before.

        Raises
        ------
        ConfigInvalid
            If there was none.
        """

        def back(alias: Alias | None) -> Alias:
            if alias is None or not alias.earlier:
                raise ConfigInvalid(f"{name}: it had no other package before")
            check_fits(name, self._load(alias.earlier[0]))
            return Alias(model=alias.earlier[0], earlier=alias.earlier[1:])

        return self._change(name, back)

    def _load(self, model: str) -> Package:
        package = load_package(find_package(model, self._models))
        require_decided(package)
        return package

    def _change(self, name: str, change: Callable[[Alias | None], Alias]) -> Alias:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with locked(self._path.with_suffix(".lock")):
            changed, known = self._changed(), self.read()
            try:
                check_apart([*known, name])
            except ValueError as error:
                raise ConfigInvalid(str(error)) from error
            changed[name] = change(known.get(name))
            replace_file(self._path, _Content(aliases=changed).model_dump_json(indent=2).encode() + b"\n")
        return changed[name]


def _chain(alias: Alias | None) -> tuple[str, ...]:
    return () if alias is None else (alias.model, *alias.earlier)[:KEPT]


def check_fits(name: str, package: Package) -> None:
    """Check that a package takes the images of a task; to another alias each channel's image is given by its name.

    Raises
    ------
    ConfigInvalid
        If it has another number of channels, or one whose rule does not name the phase that the task gives it.
    """
    channels = package.config.channels
    if name not in TASKS:
        if len({channel.name for channel in channels}) < len(channels):
            raise ConfigInvalid(f"{package.name}: two channels share a name, by which callers give their images")
        return
    fields = image_fields(name)
    if len(fields) != len(channels):
        raise ConfigInvalid(f"{name} provides {len(fields)} images, but {package.name} takes {len(channels)}")
    for field, channel in zip(fields, channels, strict=True):
        phase, wanted = PHASE_OF_FIELD.get(field), channel.series.phase
        if phase is None or phase in wanted:
            continue
        # A program cannot tell two phases apart: unless the model names them, they could be swapped.
        takes = " or ".join(wanted) or f"any phase; name it in its model.yaml (series: {{phase: [{phase}]}})"
        raise ConfigInvalid(f"{field} is {phase}, but channel {channel.name} of {package.name} takes {takes}")
