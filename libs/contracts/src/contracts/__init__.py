"""Every message of the hub: models, topics, keys, envelope, published JSON Schemas."""
