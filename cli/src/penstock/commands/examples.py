"""The examples at the end of every `--help`."""


def examples(*arguments: str) -> str:
    """Return the epilog that shows these command lines, each without its `penstock`."""
    return "\n\n".join(("Examples:", *(f"    penstock {line}" for line in arguments)))
