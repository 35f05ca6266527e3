"""What silver means: rules, merging, scoring; a pure function of bronze heads and rules."""
