"""What bronze means, without any input or output."""
