"""All that knows DICOM; no torch."""
