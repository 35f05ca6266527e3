"""The composition root: here, and nowhere else, ports meet adapters.

`service` is what runs always; `local` answers one command, and loads nothing that it does without.
"""
