"""Bronze, silver, rules and threads, each behind a port."""
