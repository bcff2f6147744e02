"""The encoding of a data set's pixels in any transfer syntax that ``dicom_io`` reads."""

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

UNCOMPRESSED = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
COMPRESSED = (
    RLELossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEG2000Lossless,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
)
TRANSFER_SYNTAXES = UNCOMPRESSED + COMPRESSED
"""The transfer syntaxes; all are lossless, so pixels that are read back equal those that were written."""


def set_pixels(dataset: Dataset, stored: NDArray[np.int_], transfer_syntax: UID) -> None:
    """Put the stored values into the dataset, encoded.

    Parameters
    ----------
    dataset
        The data set, complete except for the pixel data; its ``file_meta`` gets the transfer syntax here.
    stored
        ``(row, column)``, or ``(frame, row, column)`` where NumberOfFrames is set.

    Raises
    ------
    ValueError
        If the transfer syntax is not one of ``TRANSFER_SYNTAXES`` or the values do not fit the bits.
    """
    if transfer_syntax not in TRANSFER_SYNTAXES:
        raise ValueError(f"cannot write transfer syntax {transfer_syntax}")
    bits, signed = int(dataset.BitsStored), dataset.PixelRepresentation == 1
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    if stored.min() < low or stored.max() > high:
        raise ValueError(f"values {stored.min()} to {stored.max()} do not fit {bits} bits, signed: {signed}")
    words = stored.astype("<i2" if signed else "<u2")
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.PixelData = words.tobytes()
    dataset["PixelData"].VR = "OW"
    if transfer_syntax in (JPEGLossless, JPEGLosslessSV1, HTJ2KLossless, HTJ2KLosslessRPCL):
        _encapsulate(dataset, words.reshape(-1, *words.shape[-2:]), transfer_syntax)
    elif transfer_syntax in COMPRESSED:
        dataset.compress(transfer_syntax, generate_instance_uid=False)
    elif transfer_syntax == ExplicitVRBigEndian:
        dataset.PixelData = words.byteswap().tobytes()
    dataset.file_meta.TransferSyntaxUID = transfer_syntax


def _encapsulate(dataset: Dataset, frames: NDArray[np.int16 | np.uint16], transfer_syntax: UID) -> None:
    """Encode frames for which pydicom has a decoder but no encoder."""
    import imagecodecs  # only these two families need it

    if transfer_syntax in (JPEGLossless, JPEGLosslessSV1):
        # a lossless JPEG frame carries bit patterns; PixelRepresentation says how to read them
        mask = np.uint16(2 ** int(dataset.BitsStored) - 1)
        encoded = [
            imagecodecs.ljpeg_encode(frame.view(np.uint16) & mask, bitspersample=int(dataset.BitsStored))
            for frame in frames
        ]
    else:
        encoded = [imagecodecs.htj2k_encode(frame, reversible=True) for frame in frames]
    dataset.PixelData = encapsulate([bytes(frame) for frame in encoded])
    dataset["PixelData"].VR = "OB"
