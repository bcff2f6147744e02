"""Files of images and masks that are not DICOM (NIfTI, NRRD, MetaImage): read whole, or refused with what is wrong."""
