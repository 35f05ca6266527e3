"""Settings from the environment, from `config/sources.yaml` and from the NAS."""
