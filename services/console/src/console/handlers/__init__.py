"""The use cases: who is it, may they, and what follows."""
