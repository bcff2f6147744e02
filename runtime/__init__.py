"""Processes and durable work, independent of DICOM and models: children, leases, queues, logs."""
