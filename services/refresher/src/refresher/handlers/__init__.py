"""What the refresher does: plan, apply, undo."""
