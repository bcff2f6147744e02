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
    settings = load_settings(Path(config))
    commands = child_commands(config, workers=len(settings.workers), worker="tests.app.stub_worker")
    Node(settings, commands, announce).run()
