"""Web console and HTTP API of the hub."""
