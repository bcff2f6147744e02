"""First box: the study that enters the graph."""

from collections.abc import Sequence
from typing import Any

from monai.deploy.core import ExecutionContext, Fragment, InputContext, Operator, OperatorSpec, OutputContext

from dicom_io.images.study import Study
from operators.model_run import ModelRun
from segmentation.package.package import Package


class StudySourceOperator(Operator):
    """Operator that emits one :class:`ModelRun` for each package that is to run on the study."""

    def __init__(
        self, fragment: Fragment, *args: Any, study: Study, packages: Sequence[Package], **kwargs: Any
    ) -> None:
        self._runs = tuple(ModelRun(study=study, package=package) for package in packages)
        super().__init__(fragment, *args, **kwargs)

    def setup(self, spec: OperatorSpec) -> None:
        """Declare one output port."""
        spec.output("runs")

    def compute(self, op_input: InputContext, op_output: OutputContext, context: ExecutionContext) -> None:
        """Emit one run for each package."""
        op_output.emit(self._runs, "runs")
