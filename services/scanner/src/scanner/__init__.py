"""Finds what changed at the sources and publishes file-change and record-change events."""
