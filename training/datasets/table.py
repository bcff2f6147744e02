"""The labels table of a data set (``labels.yaml``): which names of structures become which labels."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from core.errors import ConfigInvalid
from core.frozen import Frozen
from core.model_config import Channel, LabelSpec, SeriesRule
from core.yaml_file import read_mapping
from core.yaml_problems import finding_of, location_of, problem_at
from core.yaml_text import Pattern, line_of
from training.datasets.lock import Region

BACKGROUND, IGNORE = "background", "ignore"
"""Names that nnU-Net keeps for itself."""

CT = Channel(name="CT", unit="HU", series=SeriesRule(modality=("CT",)))


class TableLabel(LabelSpec):
    """A label as ``model.yaml`` has it, and the names under which hospitals draw it.

    Attributes
    ----------
    names
        Synonyms of ``name``; case counts for nothing, and blanks and underscores are the same.
    patterns
        Regular expressions of the whole name, ignoring case.
    values
        Its values in label maps; empty: ``value``.
    looked_for
        ``drawn``: where its name is there. ``always``: whoever made the masks looked for it in each case, so that a
        mask without it says that it is absent.
    """

    names: tuple[str, ...] = ()
    patterns: tuple[Pattern, ...] = ()
    values: tuple[int, ...] = ()
    looked_for: Literal["drawn", "always"] = "drawn"

    def takes(self, name: str) -> bool:
        """Tell whether a structure of this name has this label."""
        wanted = _folded(name)
        if wanted in map(_folded, (self.name, *self.names)):
            return True
        return any(re.fullmatch(pattern, name.strip(), re.IGNORECASE) for pattern in self.patterns)


class LabelTable(Frozen, populate_by_name=True):
    """The whole of ``labels.yaml``.

    Attributes
    ----------
    channels
        As in ``model.yaml``; the series that feed them are chosen by the same rules.
    unused
        Patterns of the whole names of structures that are known and become background.
    unused_values
        Values of label maps that are known and become background.
    not_looked_for
        What becomes of a case in which a label was not looked for: its background is not known (nnU-Net's ignore
        label), or it is left out.
    overlaps
        Labels, innermost first: where two of them overlap, the earlier one counts. Without it an overlap is refused.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    channels: tuple[Channel, ...] = Field(default=(CT,), min_length=1)
    on_other_grid: Literal["refuse", "resample"] = "refuse"
    labels: tuple[TableLabel, ...] = Field(min_length=1)
    unused: tuple[Pattern, ...] = ()
    unused_values: tuple[int, ...] = ()
    not_looked_for: Literal["ignore", "exclude"] = "ignore"
    overlaps: tuple[str, ...] = ()
    regions: tuple[Region, ...] = ()

    @model_validator(mode="after")
    def _is_consistent(self) -> "LabelTable":
        known = [label.name for label in self.labels]
        for number, label in enumerate(self.labels):
            if label.value != number + 1:
                raise problem_at(("labels", number, "value"), f"nnU-Net counts labels from 1; expected {number + 1}")
            if label.name in (BACKGROUND, IGNORE) or label.name in known[:number]:
                raise problem_at(("labels", number, "name"), "the name is taken")
        mapped = set(self.unused_values) | {0}
        for number, label in enumerate(self.labels):
            for value in label.values or (label.value,):
                if value in mapped:
                    raise problem_at(("labels", number, "values"), f"the value {value} has another meaning already")
                mapped.add(value)
        for number, name in enumerate(self.overlaps):
            if name not in known or name in self.overlaps[:number]:
                raise problem_at(("overlaps", number), f"{name} is no label, or stands here twice")
        for number, region in enumerate(self.regions):
            if unknown := [name for name in region.labels if name not in known]:
                raise problem_at(("regions", number, "labels"), f"no label is called {unknown[0]}")
        return self

    @property
    def ignore_value(self) -> int:
        """The value of nnU-Net's ignore label, which must be the highest."""
        return len(self.labels) + 1

    def label_of(self, name: str) -> TableLabel | None:
        """Return the label of a structure's name; ``None`` if no entry takes it.

        Raises
        ------
        ConfigInvalid
            If several entries take it.
        """
        found = [label for label in self.labels if label.takes(name)]
        if len(found) > 1:
            both = " and ".join(label.name for label in found[:2])
            raise ConfigInvalid(f"labels table: the entries {both} take the same name of a structure; change a pattern")
        return found[0] if found else None

    def is_unused(self, name: str) -> bool:
        """Tell whether a structure's name is known to be no label."""
        return any(re.fullmatch(pattern, name.strip(), re.IGNORECASE) for pattern in self.unused)

    def value_map(self) -> dict[int, int]:
        """Return the label's value for each value of a label map; 0 where it becomes background."""
        mapped = {0: 0, **dict.fromkeys(self.unused_values, 0)}
        for label in self.labels:
            mapped |= dict.fromkeys(label.values or (label.value,), label.value)
        return mapped


def _folded(name: str) -> str:
    return re.sub(r"[\s_]+", "_", name.strip()).casefold()


def read_table(path: Path) -> LabelTable:
    """Read ``labels.yaml``.

    Raises
    ------
    ConfigInvalid
        If it is not a labels table; each problem on a line with file, line, key and finding.
    """
    text, content = read_mapping(path, "write it like this: labels: [{value: 1, name: liver}]")
    try:
        return LabelTable.model_validate(content)
    except ValidationError as error:
        lines: dict[str, None] = {}
        for problem in error.errors():
            location = location_of(problem, content)
            key = ".".join(map(str, location)) or "(whole file)"
            lines[f"{path}:{line_of(text, location)}: {key}: {finding_of(problem)}"] = None
        raise ConfigInvalid("\n".join(lines)) from error


def write_table(path: Path, table: LabelTable) -> None:
    """Write a table as the researcher could have written it."""
    content = table.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")


def draft_of(names: Iterable[str]) -> str:
    """Write a first table of the names that were found, for a person to complete."""
    labels = [{"value": number, "name": name} for number, name in enumerate(sorted(set(names)), 1)]
    return str(yaml.safe_dump({"labels": labels}, sort_keys=False, allow_unicode=True))


def table_of_names(names: Sequence[str]) -> LabelTable:
    """Make the table in which each name is a label of its own, in order of the names."""
    labels = tuple(TableLabel(value=n, name=name) for n, name in enumerate(sorted(names), 1))
    return LabelTable(labels=labels)


def table_of_dataset_json(content: Mapping[str, Any], where: str) -> LabelTable:
    """Make the table that nnU-Net's or the decathlon's ``dataset.json`` states.

    Raises
    ------
    ConfigInvalid
        If its labels or channels are not stated, or have no order.
    """
    try:
        stated = _labels_by_name(content["labels"])
        names = [str(name) for _, name in sorted((int(k), v) for k, v in _channels_of(content).items())]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigInvalid(f"{where}: its labels or channels are not stated as nnU-Net does") from error
    channels = tuple(CT if name.casefold() == "ct" else _any_channel(name) for name in names)
    regions = {name: values for name, values in stated.items() if len(values) > 1}
    singles = {values[0]: name for name, values in stated.items() if len(values) == 1}
    order = content.get("regions_class_order") or []
    everything = sorted({value for values in stated.values() for value in values})
    labels = tuple(
        TableLabel(value=n, name=singles.get(value, f"label_{value}"), values=(value,), looked_for="always")
        for n, value in enumerate(everything, 1)
    )
    if not regions:
        return LabelTable(channels=channels, labels=labels)
    if len(order) != len(stated):
        raise ConfigInvalid(f"{where}: regions_class_order has {len(order)} entries, the labels have {len(stated)}")
    if unknown := [value for value in order if value not in everything]:
        raise ConfigInvalid(f"{where}: regions_class_order names {unknown[0]!r}, which is the value of no label")
    name_of = {value: label.name for value, label in zip(everything, labels, strict=True)}
    return LabelTable(
        channels=channels,
        labels=labels,
        regions=tuple(
            Region(name=name, labels=tuple(name_of[value] for value in values), value=everything.index(out) + 1)
            for (name, values), out in zip(stated.items(), order, strict=True)
        ),
    )


def ignore_value_of(content: Mapping[str, Any]) -> int | None:
    """Return the value of the ignore label that a ``dataset.json`` states."""
    labels = content.get("labels")
    value = labels.get(IGNORE) if isinstance(labels, dict) else None
    return value if isinstance(value, int) else None


def _channels_of(content: Mapping[str, Any]) -> Mapping[str, Any]:
    found = content.get("channel_names", content.get("modality"))
    return dict(found)


def _any_channel(name: str) -> Channel:
    return Channel(name=name, series=SeriesRule(modality=("OT",)))


def _labels_by_name(labels: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Read nnU-Net's form, name to value or values, or the decathlon's, value to name; background and ignore apart."""
    if all(str(key).isdigit() for key in labels):
        labels = {str(name): int(value) for value, name in labels.items()}
    found = {
        str(name): tuple(int(v) for v in value) if isinstance(value, list | tuple) else (int(value),)
        for name, value in labels.items()
        if name != IGNORE
    }
    return {name: values for name, values in found.items() if values != (0,)}
