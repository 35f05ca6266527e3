"""What the console means by roles, sessions and pages of a list; no I/O."""
