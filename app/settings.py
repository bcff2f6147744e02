"""``node.yaml``: what one node listens to, runs and sends, validated and frozen.

The settings are read once, by the process that needs them, and handed on; nothing reads them from a global.
"""

import difflib
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from core.errors import ConfigInvalid
from core.model_manifest import ModelName
from core.yaml_text import Pattern, line_of

EXAMPLE = "manifests/node.example.yaml"
DATABASE_URL = re.compile(r"^(postgresql|sqlite)(\+\w+)?://")


def _ae_title(value: str) -> str:
    # PS3.5 6.2, VR AE: 16 characters of the default repertoire, no backslash, no control characters, not only spaces.
    if not re.fullmatch(r"[\x20-\x5b\x5d-\x7e]{1,16}", value) or value != value.strip():
        raise ValueError("an AE title has 1 to 16 printable characters, no backslash, no space at either end")
    return value


def _beside_the_file(value: Path, info: ValidationInfo) -> Path:
    folder: Path = (info.context or {}).get("folder", Path())
    return (folder / value.expanduser()).absolute()


AETitle = Annotated[str, AfterValidator(_ae_title)]
Port = Annotated[int, Field(ge=1, le=65535)]
LocalPath = Annotated[Path, AfterValidator(_beside_the_file)]
# Names become file and queue names.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]


NoticeKind = Literal["refused", "nothing_found", "failed"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rules(_Frozen):
    """Which studies a route takes; each condition given must hold, and one series must fit all that are about series.

    Patterns are regular expressions, searched, ignoring case.
    """

    modality: tuple[str, ...] = ()
    body_part: tuple[Pattern, ...] = Field(default=(), description="any of; a series without one fits")
    study_description: tuple[Pattern, ...] = ()
    series_description: tuple[Pattern, ...] = ()


class Route(_Frozen):
    """What happens to studies that are sent to one called AE title."""

    called_ae: AETitle
    rules: Rules = Rules()
    models: tuple[ModelName, ...] = Field(min_length=1)
    destinations: tuple[Name, ...] = Field(min_length=1)
    notices: frozenset[NoticeKind] = Field(
        default=frozenset(), description="of which ends the destinations get a picture that says so"
    )


class DicomDestination(_Frozen):
    """A storage SCP that results are sent to by C-STORE."""

    kind: Literal["dicom"]
    ae_title: AETitle
    host: str = Field(min_length=1)
    port: Port


class NodeSettings(_Frozen):
    """The whole of ``node.yaml``; paths are absolute."""

    ae_title: AETitle
    host: str = Field(min_length=1)
    port: Port
    spool: LocalPath
    database: str = Field(default="workflow.sqlite", min_length=1)
    models: LocalPath | None = None
    quiet_seconds: float = Field(default=60.0, gt=0)
    routes: tuple[Route, ...] = Field(min_length=1)
    destinations: dict[Name, DicomDestination] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _database_is_a_url(cls, content: Any, info: ValidationInfo) -> Any:
        if isinstance(content, dict):
            database = content.get("database", "workflow.sqlite")
            if isinstance(database, str) and not DATABASE_URL.match(database):
                if "://" in database:
                    raise _problem_at(("database",), "the URL is neither sqlite nor postgresql")
                return {**content, "database": f"sqlite:///{_beside_the_file(Path(database), info)}"}
        return content

    @model_validator(mode="after")
    def _destinations_exist(self) -> "NodeSettings":
        for number, route in enumerate(self.routes):
            for position, name in enumerate(route.destinations):
                if name not in self.destinations:
                    known = ", ".join(sorted(self.destinations))
                    at = ("routes", number, "destinations", position)
                    raise _problem_at(at, f"{name} is not below destinations: {known}")
        return self

    @property
    def called_aes(self) -> frozenset[str]:
        """Every AE title that the node answers to."""
        return frozenset({self.ae_title, *(route.called_ae for route in self.routes)})

    @property
    def executor_id(self) -> str:
        """Who does the work, the same after every restart: unfinished work is found by it."""
        return "segnode-" + re.sub(r"[^A-Za-z0-9_-]", "_", self.ae_title)


def load_settings(path: Path) -> NodeSettings:
    """Read and validate a ``node.yaml``.

    Raises
    ------
    ConfigInvalid
        With file, line, key and remedy of every problem.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = yaml.safe_load(text)
    except OSError as error:
        raise ConfigInvalid(f"{path}: {error.strerror}; give a file like {EXAMPLE}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigInvalid(f"{path}: not YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigInvalid(f"{path}:1: no settings in the file; start from {EXAMPLE}")
    try:
        return NodeSettings.model_validate(content, context={"folder": path.absolute().parent})
    except ValidationError as error:
        raise ConfigInvalid("\n".join(_describe(path, text, problem) for problem in error.errors())) from error


def _problem_at(location: tuple[int | str, ...], message: str) -> PydanticCustomError:
    # A check of several keys has no location of its own in pydantic.
    return PydanticCustomError("reference", "{message}", {"message": message, "at": location})


def _describe(path: Path, text: str, problem: ErrorDetails) -> str:
    at = problem.get("ctx", {}).get("at", problem["loc"])
    location = tuple(part for part in at if part != "[key]")
    key = ".".join(map(str, location)) or "(whole file)"
    return f"{path}:{line_of(text, location)}: {key}: {problem['msg']}; {_remedy(problem)}"


def _remedy(problem: ErrorDetails) -> str:
    if problem["type"] == "missing":
        return f"add it, see {EXAMPLE}"
    if problem["type"] == "extra_forbidden":
        keys = {name for model in (NodeSettings, Route, Rules, DicomDestination) for name in model.model_fields}
        close = difflib.get_close_matches(str(problem["loc"][-1]), sorted(keys), n=1)
        return f"did you mean {close[0]}?" if close else "remove it"
    return f"correct it, see {EXAMPLE}"
