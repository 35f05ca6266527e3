"""The sub-commands of `penstock`, one module per concern, each with a `register(app)`."""
