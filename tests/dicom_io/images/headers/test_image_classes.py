"""The SOP classes received as images are those that can be read as one."""

from pydicom.uid import CTImageStorage, MRImageStorage, PositronEmissionTomographyImageStorage, SegmentationStorage

from dicom_io.images import study
from dicom_io.images.headers.image_classes import IMAGE_CLASSES
from dicom_io.reception import storage_scp


def test_the_listener_and_the_reader_know_the_same_images() -> None:
    assert vars(storage_scp)["IMAGE_CLASSES"] is vars(study)["IMAGE_CLASSES"] is IMAGE_CLASSES
    assert {CTImageStorage, MRImageStorage, PositronEmissionTomographyImageStorage} < IMAGE_CLASSES
    assert SegmentationStorage not in IMAGE_CLASSES
