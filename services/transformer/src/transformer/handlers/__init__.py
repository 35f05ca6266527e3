"""What the transformer does with events; knows ports only."""
