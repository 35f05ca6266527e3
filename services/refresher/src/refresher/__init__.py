"""Production to UAT table refresh: planned, masked, verified, undoable."""
