"""What the service is told at its start, and its data set file."""
