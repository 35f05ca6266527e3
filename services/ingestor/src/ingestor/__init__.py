"""Fetches, parses and keeps: the bronze layer."""
