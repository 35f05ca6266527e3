"""Doubles of the chassis's ports; each answers to the contract suite of the real adapters."""
