"""The network side: everything that deals with networks, and nothing that deals with DICOM."""
