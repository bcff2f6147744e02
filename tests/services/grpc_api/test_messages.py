"""Messages of jobs, for callers of today and of yesterday."""

from segnode_client.results import Mask
from segnode_client.v1 import segmentation_pb2 as messages
from services.grpc_api.messages import job_message
from services.jobs.job import Job
from services.jobs.results import MaskResult

VOLUMES_ML = {f"vertebra {number}": number / 8 for number in (*range(24, 0, -1), *range(25, 40))}


def sent_mask() -> messages.MaskResponse:
    """The message of a mask with many labels, as it comes from the wire."""
    done = Job(id="1", state="done", progress=1.0, masks={"x": MaskResult(mask_path="cases:x", volumes_ml=VOLUMES_ML)})
    return messages.Job.FromString(job_message(done).SerializeToString()).masks["x"]


def test_volumes_keep_the_order_of_the_labels_on_the_wire_and_in_the_client() -> None:
    mask = sent_mask()
    assert [(one.label, one.ml) for one in mask.volumes] == list(VOLUMES_ML.items())
    assert list(Mask.of(mask).volumes_ml.items()) == list(VOLUMES_ML.items())


def test_the_map_stays_for_older_clients_and_is_read_from_older_services() -> None:
    mask = sent_mask()
    assert dict(mask.volumes_ml) == VOLUMES_ML
    mask.ClearField("volumes")
    assert Mask.of(mask).volumes_ml == VOLUMES_ML
