"""Last box: what leaves beside the SEG, and the hand-over to whoever runs the graph."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from monai.deploy.core import ExecutionContext, Fragment, InputContext, OperatorSpec, OutputContext

from dicom_io.results.outbox import StudyOutbox
from operators.model_run import ModelRun, ModelRunOperator


class OutboxOperator(ModelRunOperator):
    """Puts the overlay picture (and NIfTI, where asked for) beside the SEG and hands the finished runs over.

    Parameters
    ----------
    on_complete
        Called once with every run, refused ones included.
    """

    def __init__(
        self,
        fragment: Fragment,
        *args: Any,
        outbox: StudyOutbox,
        on_complete: Callable[[tuple[ModelRun, ...]], None],
        **kwargs: Any,
    ) -> None:
        self._outbox = outbox
        self._on_complete = on_complete
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """One input port: this is where the graph ends."""
        spec.input("runs")

    def compute(self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext) -> None:
        """Complete every run and hand them over."""
        runs: tuple[ModelRun, ...] = op_input.receive("runs")
        self._on_complete(tuple(self._advance_timed(run) for run in runs))

    def advance(self, run: ModelRun) -> ModelRun:
        """Write picture and NIfTI."""
        if run.label_map is None or run.volume is None:
            raise ValueError("outbox comes after postprocess")
        return replace(
            run, outputs=run.outputs + self._outbox.put_pictures(run.label_map, run.volume, run.package.manifest.name)
        )
