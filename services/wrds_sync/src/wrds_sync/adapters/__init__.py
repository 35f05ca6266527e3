"""The ports, made of real things: disks, stores, the archive."""
