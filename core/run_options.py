"""The options of one run of a model, beside the model's own configuration (`core.model_config`)."""

from dataclasses import dataclass

from core.backend import Backend
from core.model_config import Channel, Inference, ModelConfig, Phase, Profile


@dataclass(frozen=True)
class RunOptions:
    """The options of one run where it differs from ``model.yaml``; by default it asks for nothing else.

    Attributes
    ----------
    profile
        The profile to run in.
    finest_spacing
        Finest voxels in mm that the networks are shown: finer ones are averaged, as far as they stay below it. Labels
        are then no longer those of ``exact``, so such a run counts as one of ``fast``.
    channel
        The only channel whose series is wanted, by its number; for callers that give each channel an image of its own.
    phase
        The contrast phase that this channel's series has to be of, whatever its rule says.
    backend
        What computes the networks, where it is not what did before there was a choice: torch, as the device has it.
    """

    profile: Profile | None = None
    finest_spacing: float | None = None
    channel: int | None = None
    phase: Phase | None = None
    backend: Backend | None = None

    def inference(self, config: ModelConfig) -> Inference:
        """Return the settings of the networks for this run: all that the run's options change of the labels."""
        asked = config.inference
        if self.profile is not None:
            asked = asked.model_copy(update={"profile": self.profile})
        if self.finest_spacing is None:
            return asked
        finest = max(self.finest_spacing, asked.active.finest_useful_spacing or 0.0)
        limited = asked.active.model_copy(update={"finest_useful_spacing": finest})
        return asked.model_copy(update={"profile": "fast", "fast": limited})

    def channels(self, config: ModelConfig) -> tuple[Channel, ...]:
        """Return the channels for which this run wants a series, with the rules that hold for it."""
        if self.channel is None:
            return config.channels
        channel = config.channels[self.channel]
        if self.phase is None:
            return (channel,)
        return (channel.model_copy(update={"series": channel.series.model_copy(update={"phase": (self.phase,)})}),)


NO_OPTIONS = RunOptions()
"""A run as ``model.yaml`` says."""
