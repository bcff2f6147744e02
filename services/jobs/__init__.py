"""Jobs from the request to the answer: one queue behind both protocols."""
