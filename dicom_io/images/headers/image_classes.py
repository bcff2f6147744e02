"""The SOP classes of which a volume can be made, for reception and for reading alike."""

from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    EnhancedPETImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    LegacyConvertedEnhancedPETImageStorage,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
)

IMAGE_CLASSES = frozenset(
    (
        CTImageStorage,
        MRImageStorage,
        PositronEmissionTomographyImageStorage,
        EnhancedCTImageStorage,
        EnhancedMRImageStorage,
        EnhancedPETImageStorage,
        LegacyConvertedEnhancedCTImageStorage,
        LegacyConvertedEnhancedMRImageStorage,
        LegacyConvertedEnhancedPETImageStorage,
    )
)
"""They start work when they are received; all others are set aside, segmentations and screenshots too."""
