"""What the pages need of the world, a module per page; adapters provide it."""
