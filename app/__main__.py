"""The MAP's entry point: ``python -m app`` segments what lies in the input path with every model of the package.

The paths come from the environment that a MONAI Deploy platform sets (MAP specification, ``HOLOSCAN_*``).
"""

import os
import sys
from pathlib import Path

import typer

from app.logs import configure_logging
from core.errors import ConfigInvalid, SegnodeError

WORKDIR = "/var/holoscan"


def main() -> int:
    """Run on ``HOLOSCAN_INPUT_PATH`` and give the exit code of ``segnode run``."""
    configure_logging("map")
    workdir = Path(os.environ.get("HOLOSCAN_WORKDIR", WORKDIR))
    input_path = workdir / os.environ.get("HOLOSCAN_INPUT_PATH", "input")
    output_path = workdir / os.environ.get("HOLOSCAN_OUTPUT_PATH", "output")
    model_path = os.environ.get("HOLOSCAN_MODEL_PATH")
    if model_path:
        os.environ["SEGNODE_MODELS"] = model_path
    from app.run_cli import run_folder
    from segmentation.package import default_models_path, list_packages

    names = [path.name for path in list_packages(default_models_path())]
    if not names:
        raise ConfigInvalid(f"no model package below {os.pathsep.join(map(str, default_models_path()))}")
    return run_folder(input_path, output_path, names)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SegnodeError as error:
        typer.echo(f"segnode: {error}", err=True)
        sys.exit(error.exit_code)
