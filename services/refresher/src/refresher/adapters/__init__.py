"""The ports on PostgreSQL and SQL Server."""
