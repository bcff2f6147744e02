"""The types that the DICOM side and the network side share: errors, geometry, labels, the model's configuration."""
