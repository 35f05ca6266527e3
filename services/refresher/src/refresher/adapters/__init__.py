"""The databases that are refreshed, and the ledger of what was done."""
