"""Values and rules of the mirror; nothing here does input or output."""
