"""The object store: raw bytes under names derived from their content."""
