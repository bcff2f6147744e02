"""The node's worker with one study in hand: ``python -m bench.worker_of_one node.yaml SLOT``."""

import app.workflow.study_places
from app.node.worker import main

if __name__ == "__main__":
    app.workflow.study_places.PLACES = 1
    main()
