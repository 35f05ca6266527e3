"""What the scanner does: walk, compare, judge, announce."""
