"""Merges, validates, scores and explains: the silver layer."""
