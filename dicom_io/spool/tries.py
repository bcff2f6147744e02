"""The marks of the tries at a revision: empty files, of which those that stay tell of a worker's death.

A mark ``trying.N`` counts as a death over the study. It is called ``beside.N`` while another study would be to blame
for a death of the process (`runtime.attempts`). ``N`` is the number of the claim under which it is tried.
"""

from collections.abc import Callable
from pathlib import Path

_COUNTED, _SPARED = "trying", "beside"


class Tries:
    """The tries at one revision.

    Parameters
    ----------
    folder
        The revision's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def mark(self, number: int) -> Path:
        """Return the path of the mark of a claim's try while the study is to blame for a death of the process."""
        return self._folder / f"{_COUNTED}.{number}"

    def spared_mark(self, number: int) -> Path:
        """Return the path of that mark while the study is not to blame."""
        return self._folder / f"{_SPARED}.{number}"

    def counted(self) -> list[Path]:
        """List the marks of tries that ended with their process, or would count if theirs ended now."""
        return list(self._folder.glob(f"{_COUNTED}.*"))

    def any_died(self) -> bool:
        """Tell whether a process has died while it tried, whoever was to blame; ask before the next try begins."""
        return any(self._all())

    def blame_latest(self) -> None:
        """Count the latest try, which ended with its process, as a death."""
        self._call_latest(self.mark)

    def spare_latest(self) -> None:
        """Count the latest try, which ended with its process, as nobody's death."""
        self._call_latest(self.spared_mark)

    def forget(self) -> None:
        """Count from nothing again."""
        for mark in self._all():
            mark.unlink(missing_ok=True)

    def _call_latest(self, place: Callable[[int], Path]) -> None:
        numbers = {int(mark.suffix[1:]): mark for mark in self._all()}
        if numbers:
            latest = max(numbers)
            numbers[latest].rename(place(latest))

    def _all(self) -> list[Path]:
        return [mark for kind in (_COUNTED, _SPARED) for mark in self._folder.glob(f"{kind}.*")]
