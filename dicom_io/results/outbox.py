"""The folder of a study's results, written whole or not at all.

Results are staged in a hidden folder beside their place and renamed into it once the report is there, so that
``OUT/<StudyInstanceUID>/`` is complete as soon as it exists. Only files that this program wrote are ever replaced.
"""

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from types import MappingProxyType
from uuid import uuid4

from core.backend import Backend
from core.errors import ConfigInvalid, RetryLater
from core.files import sync_folder, sync_tree
from core.label_map import LabelMap
from core.model_config import ModelConfig
from core.report import Report
from core.result_forms import DEFAULT, FORMS, Form
from core.run_options import RunOptions
from core.study_warning import StudyWarning
from core.units import default_unit
from core.version import VERSION
from core.volume import Volume
from dicom_io.images.headers.attributes import texts
from dicom_io.images.headers.instance import Instance
from dicom_io.images.headers.series import Series
from dicom_io.results.local_time import now
from dicom_io.results.stagings import PREFIX, Stagings
from dicom_io.uids import is_uid

REPORT_NAME = "report.json"
NO_STUDY_UID = "no-study-uid"
OUTPUT_PATTERNS = (REPORT_NAME, *(f"*.{form}.dcm" for form in FORMS), "*.png", "*_seg.nii.gz")
ABANDONED_AFTER_S = 24 * 3600.0
"""Age from which a staging folder belongs to a process that died."""


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Raise an error of the disk as `RetryLater`."""
    try:
        yield
    except OSError as error:
        raise RetryLater(f"{folder}: cannot write results: {error.strerror}") from error


@dataclass(frozen=True)
class WrittenSeg:
    """A SEG that was written and read back: its file's name, its UID, and warnings about its words."""

    name: str
    sop_instance_uid: str
    warnings: tuple[StudyWarning, ...]


class StudyOutbox:
    """Stages and publishes the results of one study.

    Parameters
    ----------
    output_folder
        The folder in which ``<StudyInstanceUID>/`` appears.
    study_uid
        As ``read_studies`` gives it: a valid UID, or empty where the files have none; then the folder is
        ``no-study-uid``.
    nifti
        Whether ``<model>_seg.nii.gz`` is written too.
    outputs
        The forms of each model's result, by its name; a model that is not named gives the default.
    revision
        Number of the run on the same study, from 0; part of the results' UIDs.
    stagings
        The process's staging folders, where it may be ended in the middle.

    Raises
    ------
    ValueError
        If it is neither, since it becomes the name of a folder.
    ConfigInvalid
        If that folder exists and holds anything but earlier results.
    RetryLater
        Here and in every method, if the disk cannot be written (full, read-only).
    """

    def __init__(
        self,
        output_folder: Path,
        study_uid: str,
        *,
        nifti: bool = False,
        outputs: Mapping[str, Sequence[str]] = MappingProxyType({}),
        revision: int = 0,
        stagings: Stagings | None = None,
    ) -> None:
        if study_uid and not is_uid(study_uid):
            raise ValueError("the Study Instance UID is not a valid UID")
        self._target = output_folder / (study_uid or NO_STUDY_UID)
        self._nifti = nifti
        self._outputs = outputs
        self._revision = revision
        self._stagings = stagings or Stagings()
        with _writing(output_folder):
            output_folder.mkdir(parents=True, exist_ok=True)
            _refuse_foreign(self._target)
            _remove_abandoned(output_folder)
            self._staging = self._stagings.make(output_folder)

    @property
    def nifti(self) -> bool:
        """True if ``<model>_seg.nii.gz`` is written too."""
        return self._nifti

    def wants(self, model: str, form: Form) -> bool:
        """Return whether a form of a model's result is to be written."""
        return form in self._outputs.get(model, DEFAULT)

    def put_seg(
        self,
        label_map: LabelMap,
        volume: Volume,
        sources: Sequence[Instance],
        config: ModelConfig,
        options: RunOptions,
        sha256: str,
        backend: Backend | None = None,
    ) -> WrittenSeg | None:
        """Write ``<model>.seg.dcm`` and read it back; nothing for an empty mask whose model asks for no object.

        Parameters
        ----------
        config, options, sha256, backend
            As `dicom_io.results.seg.build.SegContext` has them.

        Raises
        ------
        StudyRejected
            ``seg_mismatch`` if what was read back is not the mask that went in.
        """
        from dicom_io.results.seg.build import SegContext, agreement_of, build_seg, verify_seg, write_seg

        if label_map.is_empty and config.output.when_empty == "none":
            return None
        name = f"{config.name}.seg.dcm"
        context = SegContext(config, sha256, VERSION, self._revision, options, backend)
        agreement = agreement_of(volume, sources)
        seg = build_seg(label_map, volume, sources, context, agreement)
        with _writing(self._staging):
            write_seg(seg, self._staging / name)
        verify_seg(self._staging / name, label_map)
        return WrittenSeg(name, str(seg.SOPInstanceUID), agreement.warnings(volume.series_uids[0] or None))

    def put_pictures(
        self,
        label_map: LabelMap,
        volume: Volume,
        series: Sequence[Series],
        config: ModelConfig,
        regular: LabelMap | None = None,
    ) -> tuple[str, ...]:
        """Write ``<model>.png`` and, if set, ``<model>_seg.nii.gz``; return the names written.

        The file holds the mask on the ``regular`` grid of an irregular stack, since NIfTI knows no other.
        """
        from dicom_io.results.preview import caption_of, write_overlay

        model, headers = config.name, [one.instances[0].header for one in series]
        unit = config.channels[0].unit or default_unit(texts(headers[0], "Modality"))
        names = [f"{model}.png"]
        with _writing(self._staging):
            caption = caption_of(f"{model}, version {config.version}", headers)
            write_overlay(self._staging / names[0], volume, label_map, caption, unit)
            if self._nifti:
                from dicom_io.results.nifti import write_nifti

                names.append(f"{model}_seg.nii.gz")
                write_nifti(self._staging / names[1], regular or label_map)
        return tuple(names)

    def publish(self, report: Report) -> Path:
        """Add the report, dated, and let the folder appear; earlier results of the study are replaced.

        A refused or failed study shows its report alone.
        """
        with _writing(self._target):
            if report.outcome in ("refused", "failed"):
                for path in self._staging.iterdir():
                    path.unlink()
            dated = report.model_copy(update={"date": now().replace(microsecond=0)})
            (self._staging / REPORT_NAME).write_text(dated.to_json(), encoding="utf-8")
            sync_tree(self._staging)
            with self._stagings.undisturbed():
                self._replace_target()
            sync_folder(self._target.parent)
        return self._target

    def discard(self) -> None:
        """Remove what was staged; harmless after ``publish``."""
        self._stagings.discard(self._staging)

    def _replace_target(self) -> None:
        if not self._target.exists():
            self._staging.rename(self._target)
            return
        retired = self._target.parent / f".retired-{uuid4().hex}"
        self._target.rename(retired)
        self._staging.rename(self._target)
        shutil.rmtree(retired)


def _refuse_foreign(target: Path) -> None:
    if not target.exists():
        return
    foreign = [path for path in target.iterdir() if not any(fnmatch(path.name, p) for p in OUTPUT_PATTERNS)]
    if foreign or not (target / REPORT_NAME).exists():
        raise ConfigInvalid(f"{target} holds files that are not earlier results; give another output folder")


def _remove_abandoned(folder: Path) -> None:
    for prefix in (PREFIX, ".retired-"):
        for path in folder.glob(f"{prefix}*"):
            if time.time() - path.stat().st_mtime > ABANDONED_AFTER_S:
                shutil.rmtree(path, ignore_errors=True)
