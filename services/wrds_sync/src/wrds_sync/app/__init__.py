"""The composition root and what it starts."""
