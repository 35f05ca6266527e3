"""A hub's database full of plausible state, for looking at the console."""
