"""The listener deletes what was delivered long ago, as its settings say, from its start on."""

import time
from pathlib import Path

from dicom_io.spool.ingest import Ingest
from dicom_io.spool.received import study_key
from dicom_io.spool.records import State
from dicom_io.spool.spool import Spool
from tests.support.arriving import Sent, put
from tests.support.listener_process import ListenerProcess
from tests.support.node_process import wait_until

DAY_S = 86400.0


def delivered(spool: Spool, study: str, days_ago: float) -> str:
    put(Ingest(spool), Sent("SEGNODE", study, f"{study}.1", True, b"image"))
    revision = spool.revision(study_key("SEGNODE", study), 0)
    assert spool.close(revision, revision.arrival_stamp())
    revision.write_state(state=State.DELIVERED)
    revision.write_state(since=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - days_ago * DAY_S)))
    spool.unmark(revision.key)
    return revision.key


def test_days_are_days_and_count_from_the_end(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.prepare()
    delivered(spool, "1.2.1", days_ago=31)
    young = delivered(spool, "1.2.2", days_ago=29)
    listener = ListenerProcess(tmp_path, reception={"keep_delivered_days": 30})
    try:
        wait_until(lambda: spool.study_keys() == [young])
    finally:
        listener.stop()
    assert spool.study_keys() == [young]
