"""The boxes of the graph: ports and one library call each.

Only this room and ``app/graph.py`` import ``monai.deploy``. Importing it loads holoscan, and that needs the CUDA
runtime's library even where there is no GPU; a machine without a CUDA toolkit has it from the wheel of the CUDA
runtime, which has to be loaded first. So this happens here, before any operator's module.
"""

import os
import resource

from cuda.pathfinder import load_nvidia_dynamic_lib

HOLOSCAN_STACK_BYTES = 32 * 2**20
"""Stack size that holoscan asks for; below it, it warns at import."""


def _prepare_holoscan() -> None:
    # It narrates every start and stop, and prints the text of exceptions, which can quote a data element; they come
    # out of `run` anyway.
    os.environ.setdefault("HOLOSCAN_LOG_LEVEL", "OFF")
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    if soft != resource.RLIM_INFINITY and soft < HOLOSCAN_STACK_BYTES:
        wanted = HOLOSCAN_STACK_BYTES if hard == resource.RLIM_INFINITY else min(HOLOSCAN_STACK_BYTES, hard)
        resource.setrlimit(resource.RLIMIT_STACK, (wanted, hard))
    load_nvidia_dynamic_lib("cudart")


_prepare_holoscan()
