"""What happens when an event arrives."""
