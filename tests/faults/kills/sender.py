"""Modalities that send studies without an end, and send again what nobody acknowledged."""

import random
import threading
import time

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE
from pynetdicom.dsutils import encode

from tests.faults.kills.ledger import CALLED_AE, Ledger
from tests.support.node_process import make_image

GIVE_UP_S = 60.0
LATE_S = 2.5
WISHES = ("", "", "", "", "slow", "empty", "refuse missing_slice", "later")
"""Behaviours requested of the stand-in for the models (`tests.support.stub_worker`)."""


class Modality(threading.Thread):
    """One sender, of one association at a time.

    Parameters
    ----------
    port
        The node's.
    ledger
        Where it notes what was acknowledged.
    chance
        Decides what it sends.
    pause_s
        Mean time between two studies.
    """

    def __init__(self, port: int, ledger: Ledger, chance: random.Random, pause_s: float) -> None:
        super().__init__(name="modality", daemon=True)
        self.ended_early = 0
        self._port, self._ledger, self._chance, self._pause_s = port, ledger, chance, pause_s
        self._enough = threading.Event()
        self._resting = False

    def rest(self, resting: bool) -> None:
        """Begin no further study, or go on."""
        self._resting = resting

    def stop(self) -> None:
        """Send no further study."""
        self._enough.set()

    def run(self) -> None:
        """Send until told to stop."""
        while not self._enough.wait(self._chance.uniform(0, 2 * self._pause_s)):
            if self._resting:
                continue
            study = str(generate_uid())
            wish = self._chance.choice(WISHES)
            images = [self._image(study, number, wish) for number in range(self._chance.randint(2, 6))]
            self._send_all(study, images)
            if self._chance.random() < 0.1:
                # Again what is there, and one more: perhaps after the study was closed.
                self._enough.wait(LATE_S)
                self._send_all(study, [images[0], self._image(study, len(images), wish)])

    def _image(self, study: str, number: int, wish: str) -> Dataset:
        image = make_image(study, number, description=wish)
        if self._chance.random() < 0.3:
            image.Rows = image.Columns = 512
            image.PixelData = self._chance.randbytes(512 * 512 * 2)
        return image

    def _send_all(self, study: str, images: list[Dataset]) -> None:
        for image in images:
            encoded = encode(image, is_implicit_vr=False, is_little_endian=True)
            assert encoded is not None
            self._ledger.sends(study, str(image.SOPInstanceUID), encoded)
        deadline = time.monotonic() + GIVE_UP_S
        while (images := self._send_once(study, images)) and time.monotonic() < deadline:
            self.ended_early += 1
            time.sleep(self._chance.uniform(0.1, 0.5))

    def _send_once(self, study: str, images: list[Dataset]) -> list[Dataset]:
        """Send over one association; what was not acknowledged."""
        ae = AE(ae_title="MODALITY")
        ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 10.0
        ae.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
        association = ae.associate("127.0.0.1", self._port, ae_title=CALLED_AE)
        left = list(images)
        try:
            while left and association.is_established:
                if association.send_c_store(left[0]).get("Status") != 0x0000:
                    break
                self._ledger.acknowledged(study, str(left.pop(0).SOPInstanceUID))
        except RuntimeError:
            pass  # the association ended before the request
        finally:
            if association.is_established:
                association.release()
        return left
