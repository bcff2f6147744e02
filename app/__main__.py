"""The MAP's entry point: ``python -m app`` segments what lies in the input path with every model of the package.

The paths come from the environment that a MONAI Deploy platform sets (MAP specification, ``HOLOSCAN_*``). One argument
asks for something else: ``show [app|pkg]``, ``extract``, ``ready``, ``alive``.
"""

import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from app.map.inside import Layout, extract, show
from app.stop_signals import ended_by_signals
from core.errors import ConfigInvalid, SegnodeError, StudyRejected
from core.raised_at import stack_of
from core.report import Reason, Report
from core.result_forms import DEFAULT
from dicom_io.results.stagings import Stagings
from runtime.logs import configure_logging
from runtime.processor import settle_threads

OUTPUTS = "SEGNODE_OUTPUTS"
"""Environment variable with the forms of each result, as ``seg,sr``; without it the default."""

USAGE = "give no argument to run, or one of: show [app|pkg], extract, ready, alive"


def main(arguments: Sequence[str] = (), stagings: Stagings | None = None) -> int:
    """Do what the arguments ask for; without one, run, and give the exit code of ``segnode run``.

    Raises
    ------
    SegnodeError
        If it cannot be done; every kind has its exit code.
    """
    configure_logging("map")
    layout = Layout.of(os.environ)
    match list(arguments):
        case []:
            return _run(layout, stagings)
        case ["show"]:
            show(layout, ("app", "pkg"))
        case ["show", ("app" | "pkg") as which]:
            show(layout, (which,))
        case ["extract"]:
            extract(layout)
        case ["ready"]:
            _check_ready(layout)
        case ["alive"]:
            pass  # that this interpreter starts and finds the program is the answer
        case _:
            raise ConfigInvalid(f"{' '.join(arguments)}: {USAGE}")
    return 0


def _run(layout: Layout, stagings: Stagings | None) -> int:
    settle_threads()
    from app.run_folder import chosen_outputs, run_folder

    names = _model_names(layout)
    outputs = chosen_outputs(os.environ.get(OUTPUTS) or ",".join(DEFAULT), OUTPUTS)
    if not layout.input.is_dir() or not any(layout.input.iterdir()):
        typer.echo(f"segnode: {layout.input} is empty; mount the folder with the study's DICOM files there", err=True)
    try:
        return run_folder(layout.input, layout.output, names, outputs=outputs, stagings=stagings)
    except StudyRejected as rejection:
        # A platform that looks for results has to find why there are none.
        _publish_refusal(layout.output, rejection)
        raise


def _publish_refusal(output: Path, rejection: StudyRejected) -> None:
    from dicom_io.results.outbox import StudyOutbox

    outbox = StudyOutbox(output, "")
    try:
        outbox.publish(Report(study="", outcome="refused", reason=Reason.of(rejection), device="none"))
    finally:
        outbox.discard()


def _model_names(layout: Layout) -> list[str]:
    from segmentation.package.store import default_models_path, list_packages

    if layout.models is not None:
        os.environ["SEGNODE_MODELS"] = str(layout.models)
    names = [path.name for path in list_packages(default_models_path())]
    if not names:
        raise ConfigInvalid(f"no model package below {os.pathsep.join(map(str, default_models_path()))}")
    return names


def _check_ready(layout: Layout) -> None:
    """Every model's files hold their hashes, and results can be written."""
    from segmentation.package.package import load_package
    from segmentation.package.store import default_models_path, find_package

    for name in _model_names(layout):
        load_package(find_package(name, default_models_path()))
    if not os.access(layout.output, os.W_OK):
        raise ConfigInvalid(f"{layout.output} cannot be written by user {os.getuid()}; mount a folder that can")


def entry() -> None:
    """Entry of the process."""
    stagings = Stagings()

    def end(number: signal.Signals) -> None:
        stagings.end()
        typer.echo(f"segnode: ended by {number.name}; of a study that was not finished nothing is left", err=True)

    with ended_by_signals(end):
        code = _code_of(stagings)
    sys.exit(code)


def _code_of(stagings: Stagings) -> int:
    try:
        return main(sys.argv[1:], stagings)
    except SegnodeError as error:
        typer.echo(f"segnode: {error}", err=True)
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the process's outermost loop: a traceback may quote a data element
        where = stack_of(error)
        logging.getLogger("segnode").error("failed: %s\n%s", type(error).__name__, where)
        return 1


if __name__ == "__main__":
    entry()
