"""The folder of real series; apart from the cases, since who sets threads needs it before torch is loaded."""

import os
from pathlib import Path

DATA = Path(os.environ.get("SEGNODE_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
