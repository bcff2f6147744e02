"""Third box: from files to the array that nnU-Net would read."""

from dataclasses import replace
from typing import Any

from monai.deploy.core import Fragment

from dicom_io.images.volume import SelectionRejectedError, VolumeReader
from operators.model_run import ModelRun, ModelRunOperator


class SeriesToVolumeOperator(ModelRunOperator):
    """Reads each series once, however many models ask for it."""

    stage = "read"

    def __init__(self, fragment: Fragment, *args: Any, **kwargs: Any) -> None:
        self._reader = VolumeReader()
        super().__init__(fragment, *args, **kwargs)

    def advance(self, run: ModelRun) -> ModelRun:
        """Read the selected series; one whose pixels cannot be read gives way to the next that fits."""
        if run.selection is None:
            raise ValueError("series_to_volume comes after select_series")
        try:
            volume, selection = self._reader.read(run.study, run.package.manifest, run.selection)
        except SelectionRejectedError as rejection:
            # The report must say which series was refused for its pixels, not that it was taken.
            return replace(run, selection=rejection.selection, rejection=rejection)
        return replace(run, volume=volume, selection=selection)
