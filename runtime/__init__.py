"""Processes and durable work, with no idea of DICOM or models: children, leases, queues, logs."""
