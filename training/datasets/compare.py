"""The differences between two data sets, or two versions of one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from training.datasets.lock import DatasetLock, LockedCase

_FACETS: Mapping[str, Callable[[LockedCase], object]] = {
    "image": lambda case: (tuple(image.content for image in case.images), case.shape, case.spacing, case.origin),
    "mask": lambda case: case.label.content,
    "patient": lambda case: case.patient,
    "looked for": lambda case: case.looked_for,
    "labelled by": lambda case: case.labelled_by,
}


@dataclass(frozen=True)
class Difference:
    """The differences; cases are known by the short ID of their source.

    Attributes
    ----------
    settings
        Which of channels, labels, regions, ignore and splits differ.
    added, removed
        Cases of one alone.
    changed
        What differs of cases of both.
    """

    settings: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: dict[str, tuple[str, ...]]

    @property
    def is_empty(self) -> bool:
        """True if nothing differs."""
        return not (self.settings or self.added or self.removed or self.changed)


def compare(first: DatasetLock, second: DatasetLock) -> Difference:
    """Compare the second with the first."""
    old, new = ({case.source: case for case in lock.cases.values()} for lock in (first, second))
    settings = [
        key
        for key in ("channels", "on_other_grid", "labels", "regions", "ignore")
        if getattr(first, key) != getattr(second, key)
    ]
    if _splits_of(first) != _splits_of(second):
        settings.append("splits")
    changed = {source: facets for source in old.keys() & new.keys() if (facets := _changed(old[source], new[source]))}
    return Difference(
        tuple(settings),
        tuple(sorted(new.keys() - old.keys())),
        tuple(sorted(old.keys() - new.keys())),
        dict(sorted(changed.items())),
    )


def _changed(old: LockedCase, new: LockedCase) -> tuple[str, ...]:
    return tuple(name for name, facet in _FACETS.items() if facet(old) != facet(new))


def _splits_of(lock: DatasetLock) -> list[tuple[set[str], set[str]]]:
    """Return the folds by sources, since a case's name holds that of its data set."""
    return [
        ({lock.cases[case].source for case in split.train}, {lock.cases[case].source for case in split.val})
        for split in lock.splits
    ]
