"""The ports on PostgreSQL and on local files."""
