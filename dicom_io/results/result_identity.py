"""The parts of which a result's UIDs are made, so that the same work has one name and no other work has it.

Version 1 of the list, in this order:

1. the study: its Study Instance UID
2. the inputs: the UIDs of series and images in the order of the volume, frame numbers, and all other images used
3. the package: its SHA-256, which stands for weights, plans and ``model.yaml``
4. the run options that change labels, and the output settings: ``model.yaml`` as this run uses it
   (`core.settled_json.settled_json`, so a later key at its default is no part); and the backend with its version, where
   it is not torch as it was before there was a choice
5. the program's version
6. the revision

A list with other parts is another version, and gives all results new UIDs: CHANGELOG.md then says so.
"""

from dataclasses import dataclass

from core.model_config import ModelConfig
from core.run_options import RunOptions
from core.settled_json import settled_json


@dataclass(frozen=True)
class ResultIdentity:
    """Everything that a result was made of.

    Attributes
    ----------
    study_uid
        Study Instance UID.
    inputs
        UIDs of series and images, and frame numbers, in the order of the volume; then the other images.
    package_sha256
        The package's identity.
    config
        Its ``model.yaml``.
    options
        The options of the run.
    program_version
        The version of this program.
    revision
        The run's number on the same study.
    """

    study_uid: str
    inputs: tuple[str, ...]
    package_sha256: str
    config: ModelConfig
    options: RunOptions
    program_version: str
    revision: int

    def parts(self) -> list[str | int]:
        """Return the list of which UIDs are derived (`dicom_io.uids.derive_uid`)."""
        # Version 1 carries no number of its own: results of before have none.
        return [
            self.study_uid,
            *self.inputs,
            self.package_sha256,
            self._settings(),
            self.program_version,
            self.revision,
        ]

    def _settings(self) -> str:
        inference = self.options.inference(self.config)
        settings = settled_json(self.config.model_copy(update={"inference": inference}))
        return settings if self.options.backend is None else f"{settings}\n{self.options.backend}"
