"""Corporate proxies: how they are reached, and how one logs on there (S1-11, decision 0039)."""
