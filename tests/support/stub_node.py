"""``segnode serve`` with a stand-in for the models: ``python -m tests.support.stub_node [WORKER_MODULE] node.yaml``."""

import sys
from pathlib import Path

from app.cli.serve import announce
from app.node.node import Node, child_commands
from app.settings.node import load_settings
from runtime.logs import configure_logging

if __name__ == "__main__":
    configure_logging("node")
    worker, config = ["tests.support.stub_worker", *sys.argv[1:]][-2:]
    settings = load_settings(Path(config))
    commands = child_commands(config, workers=len(settings.workers), worker=worker)
    Node(settings, commands, announce).run()
