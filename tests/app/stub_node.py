"""``segnode serve`` with the stand-in for the models: ``python -m tests.app.stub_node node.yaml``."""

import sys
from pathlib import Path

from app.logs import configure_logging
from app.node import Node, child_commands
from app.serve_cli import announce
from app.settings import load_settings

if __name__ == "__main__":
    configure_logging("node")
    config = sys.argv[1]
    commands = child_commands(config) | {"worker": [sys.executable, "-m", "tests.app.stub_worker", config]}
    Node(load_settings(Path(config)), commands, announce).run()
