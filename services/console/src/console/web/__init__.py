"""HTTP: pages, the JSON API and the stream of changes."""
