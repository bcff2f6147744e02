"""The DICOM SEG: built on the source's grid, written, read back."""
