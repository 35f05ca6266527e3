"""What a refresh is, without any input or output: configuration, catalogs, plans, masks, checks."""
