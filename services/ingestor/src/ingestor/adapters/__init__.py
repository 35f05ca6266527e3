"""PostgreSQL, shares, threads and temporary files behind the ports."""
