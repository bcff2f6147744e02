"""All that knows networks; no DICOM."""
