"""The policy of threads has to be set before torch is loaded, or the figure beside a busy core is another's."""

import subprocess
import sys


def test_nothing_loads_torch_before_threads_are_settled() -> None:
    program = "import sys, bench.busy_core; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603 - our own
    assert done.stdout == "False\n"
