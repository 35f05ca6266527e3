"""Read models and stores on PostgreSQL, and the clients of other servers."""
