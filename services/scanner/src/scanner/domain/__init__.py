"""What a scan may conclude from what it sees; no I/O."""
