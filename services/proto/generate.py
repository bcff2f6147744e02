"""Generate the Python of ``segmentation.proto`` into ``segnode_client/v1``: ``python -m services.proto.generate``."""

import sys
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from grpc_tools import protoc

PROTO = Path(__file__).parent
TARGET = PROTO.parents[1] / "segnode_client" / "v1"
NAMES = ("segmentation_pb2.py", "segmentation_pb2.pyi", "segmentation_pb2_grpc.py")


def generate(target: Path = TARGET) -> None:
    """Write the modules into a folder.

    Raises
    ------
    SystemExit
        If the proto is wrong; protoc prints the place.
    """
    with TemporaryDirectory() as folder:
        arguments = [
            "protoc",
            f"-I{PROTO}",
            f"-I{files('grpc_tools') / '_proto'}",
            f"--python_out={folder}",
            f"--pyi_out={folder}",
            f"--grpc_python_out={folder}",
            "segnode/v1/segmentation.proto",
        ]
        if protoc.main(arguments):
            sys.exit("segmentation.proto cannot be compiled")
        for name in NAMES:
            # protoc writes imports from the proto's own root, which would be a package called segnode.
            text = (Path(folder) / "segnode" / "v1" / name).read_text()
            (target / name).write_text(text.replace("from segnode.v1 import", "from segnode_client.v1 import"))


if __name__ == "__main__":
    generate()
