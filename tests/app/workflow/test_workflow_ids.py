"""IDs of workflows, which machines of several versions share: they stay as they are."""

from pathlib import Path

import pytest

from app.workflow.workflow_ids import WorkItem, workflow_prefixes
from dicom_io.spool.records import State
from dicom_io.spool.spool import Spool


@pytest.mark.parametrize(("incarnation", "study"), [("1a2b3c4d", "key.1a2b3c4d"), ("", "key")])
def test_an_id_names_study_incarnation_revision_run_and_attempt(incarnation: str, study: str) -> None:
    item = WorkItem("key", incarnation, 2, 3)
    assert item.study_workflow(4) == f"study.{study}.2.3.4"
    assert item.delivery_workflow("pacs", 4) == f"delivery.{study}.2.3.pacs.4"


def test_the_work_that_a_revision_waits_for(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.prepare()
    spool.create_study("key", "SEGNODE", "1.2.3")
    with spool.locked("key"):
        revision = spool.open_revision("key", State.WAITING)
    revision.write_state(run=3)
    item = WorkItem.of(spool, revision)
    assert item == ("key", spool.incarnation("key"), 0, 3)
    study, delivery = workflow_prefixes(revision, item.incarnation)
    assert item.study_workflow(0).startswith(study)
    assert item.delivery_workflow("pacs", 0).startswith(delivery)
