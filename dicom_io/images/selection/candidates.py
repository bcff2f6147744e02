"""The volumes of one series as candidates for a channel, and the refusal where a rule does not say which one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import yaml

from core.errors import ReasonCode, StudyRejected
from core.model_config import GeometryRule, ModelConfig, SeriesRule, Smooth
from core.study_warning import WarningCode
from dicom_io.images.headers.series import Part, Series
from dicom_io.images.selection.rules import too_few_slices
from dicom_io.images.selection.traits import Traits, traits_of
from dicom_io.images.splitting.naming import is_exactly, unit_of
from dicom_io.images.splitting.volumes import split_of, volume_values

MOST_LISTED = 12
"""As many volumes are listed in a refusal; ``segnode series`` lists all."""


class Candidates:
    """A series, and the volumes that it holds: itself, where it is one.

    Parameters
    ----------
    series
        As read.
    refused
        Series and volumes that are refused already, by ``Series.key``.
    config
        The model's: whether irregular stacks are refused, and its post-processing; ``None`` refuses them.
    alone
        Whether the model has one channel, so that the frame of reference need not be that of another series.

    Attributes
    ----------
    split
        How the series came apart.
    volumes
        Traits of each volume.
    as_series
        Traits of the series as it was read.
    """

    def __init__(
        self, series: Series, refused: Mapping[str, StudyRejected], config: ModelConfig | None, *, alone: bool
    ) -> None:
        geometry: GeometryRule = "regular" if config is None else config.geometry
        self.split = split_of(series)
        self.volumes = [
            _on_stack(_traits(volume, refused.get(volume.key), geometry, alone=alone), config)
            for volume in self.split.volumes
        ]
        # A series that holds several volumes is refused as it is, which saves looking for its grid again.
        whole = self.split.is_apart
        self.as_series = traits_of(series, self.split.refusal) if whole else self.volumes[0]

    def narrow(self, rule: SeriesRule, unmet: Mapping[str, list[str]]) -> None:
        """Let a volume whose values of Image Type are those that a rule names come before one that has more of them."""
        if rule.volume is None or not rule.volume.image_type:
            return
        fitting = [t.series for t in self.volumes if not unmet[t.series.key]]
        exact = [one for one in fitting if is_exactly(rule.volume, volume_values(one))]
        if len(exact) == 1:
            for one in fitting:
                if one is not exact[0]:
                    unmet[one.key].append("another volume has these values of image type and no more")

    def refusals(self, rule: SeriesRule, unmet: Mapping[str, Sequence[str]]) -> dict[str, StudyRejected]:
        """Return refusals of volumes that fit a rule, by ``Series.key``, where it does not say which one is meant.

        Parameters
        ----------
        rule
            Of the channel.
        unmet
            The conditions that each volume fails, by ``Series.key``.
        """
        if not self.split.is_apart:
            return {}
        fitting = [t for t in self.volumes if self._may_be_meant(rule, t, unmet)]
        if len(fitting) == 1:
            (only,) = fitting
            short = [t.series for t in self.volumes if too_few_slices(rule, t) and len(unmet[t.series.key]) == 1]
            if rule.volume is None and self.split.is_piece(only.series, [s for s in short if s is not only.series]):
                return {only.series.key: self._refusal(None, fitting)}
            return {}
        whole = [t for t in fitting if t.layout is not None]
        pieces = any(self.split.is_piece(t.series, [f.series for f in fitting if f is not t]) for t in fitting)
        code = None if pieces or len(whole) < len(fitting) else ReasonCode.SEVERAL_VOLUMES
        return {t.series.key: self._refusal(code, fitting) for t in fitting}

    def _may_be_meant(self, rule: SeriesRule, traits: Traits, unmet: Mapping[str, Sequence[str]]) -> bool:
        """Return whether a volume fits, or is damaged and would fit if it were whole."""
        failed = unmet[traits.series.key]
        return not failed or (traits.layout is None and too_few_slices(rule, traits) and len(failed) == 1)

    def _refusal(self, code: ReasonCode | None, fitting: Sequence[Traits]) -> StudyRejected:
        """Return the refusal by a code, or that of the series as it is; both list what could be named."""
        why = self.split.refusal
        assert why is not None  # noqa: S101 - for the type checker; a series that is one volume does not come apart
        uid = self.volumes[0].series.uid
        listed = _listed([t.series.part for t in fitting if t.layout is not None and t.series.part is not None])
        if code is None:
            return StudyRejected(why.code, f"{why.detail} {listed}".strip(), uid)
        detail = f"It holds {len(self.volumes)}, of which {len(fitting)} fit. {listed}"
        return StudyRejected(code, detail.strip(), uid)


def _on_stack(traits: Traits, config: ModelConfig | None) -> Traits:
    """Refuse an irregular stack whose labels the model's post-processing would clean as if it were a grid."""
    layout = traits.layout
    if config is None or layout is None or layout.irregularity is None:
        return traits
    unfit = [step.step for step in config.postprocessing if isinstance(step, Smooth)]
    if not unfit:
        return traits
    found = layout.irregularity
    detail = f"{layout.geometry.stack}; the post-processing step {unfit[0]} of the model needs a regular grid."
    refusal = StudyRejected(found.code, f"{detail[:1].upper()}{detail[1:]}", found.series_uid)
    return replace(traits, layout=None, refusal=refusal)


def _traits(volume: Series, refusal: StudyRejected | None, geometry: GeometryRule, *, alone: bool) -> Traits:
    traits = traits_of(volume, refusal, geometry)
    if alone or traits.layout is None:
        return traits
    if all(one.code is not WarningCode.FRAME_OF_REFERENCE_DERIVED for one in traits.layout.warnings):
        return traits
    detail = "FrameOfReferenceUID: a model of several channels needs it, to know that they lie in one place."
    return replace(traits, layout=None, refusal=StudyRejected(ReasonCode.EMPTY_UID, detail, volume.uid))


def _listed(parts: Sequence[Part]) -> str:
    """List volumes as ``model.yaml`` names them; empty where none can be named."""
    named = [part.named for part in parts if part.named]
    if not named:
        return "No key of volume tells them apart."
    written = [f"volume: {written_rule(one)}" for one in named[:MOST_LISTED]]
    more = f", and {len(named) - MOST_LISTED} more, see segnode series" if len(named) > MOST_LISTED else ""
    units = {f"{key} in {unit_of(key)}" for one in named for key in one if unit_of(key)}
    stated = f" ({', '.join(sorted(units))})" if units else ""
    return f"Name one in model.yaml, below the channel's series: {', '.join(written)}{more}{stated}."


def written_rule(named: Mapping[str, object]) -> str:
    """Write what names a volume as the value of ``volume`` in ``model.yaml``."""
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in named.items()}
    text: str = yaml.safe_dump(plain, default_flow_style=True, sort_keys=False, width=10_000, allow_unicode=True)
    return text.strip()
