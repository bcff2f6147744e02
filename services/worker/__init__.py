"""What a worker of the service does with a job."""
