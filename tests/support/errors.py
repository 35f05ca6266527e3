"""Why a run of tests cannot go on.

Nothing is skipped in silence.
"""


class MissingServerError(Exception):
    """A server the tests need cannot be had; the message says how to get it."""
