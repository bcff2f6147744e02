"""The workers of the service, and their work on a job."""
