"""The time that ``segnode run`` adds to importing torch and the App SDK, from process start to the first tile.

    python -m bench.cold_start imports | segnode ARGUMENT…

is one such process; it prints the clock when it reaches that point, and ends.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NoReturn

REPEATS = 5


def measure(series: Path) -> dict[str, Any]:
    """Measure medians of seconds; one run before the first brings every file into memory."""
    with tempfile.TemporaryDirectory() as output:
        wanted = {
            "imports_s": ["imports"],
            "segnode_run_s": ["segnode", "run", str(series), output, "--model", "demo", "--device", "cpu"],
        }
        seconds: dict[str, list[float]] = {name: [] for name in wanted}
        for number in range(REPEATS + 1):
            for name, arguments in wanted.items():
                start = time.monotonic()
                command = [sys.executable, "-m", "bench.cold_start", *arguments]
                done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own interpreter
                lines = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("there ")]
                if not lines:
                    raise SystemExit(f"{' '.join(arguments)} did not reach the network:\n{done.stderr}")
                if number:
                    seconds[name].append(float(lines[0]) - start)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    return {**medians, "added_s": medians["segnode_run_s"] - medians["imports_s"]}


def _there() -> NoReturn:
    import os

    # One clock for all processes of a machine. At once: nothing after this moment is asked about.
    sys.stdout.write(f"there {time.monotonic()}\n")
    sys.stdout.flush()
    os._exit(0)


def main() -> None:
    """Run up to the point at which the clock is read."""
    import torch
    from torch.nn.modules.module import register_module_forward_pre_hook

    if sys.argv[1] == "imports":
        import operators  # noqa: F401 - it loads the library that holoscan needs, so before the SDK

        # isort: split
        import monai.deploy.core  # noqa: F401 - for its effect

        _there()

    def first_tile(module: torch.nn.Module, inputs: Any) -> NoReturn:
        _there()

    register_module_forward_pre_hook(first_tile)
    sys.argv = sys.argv[1:]
    from app.cli.main import main as segnode

    segnode()


if __name__ == "__main__":
    main()
