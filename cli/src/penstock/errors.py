"""The root of this package's own failures, in a module that costs nothing to import."""


class ToldError(Exception):
    """The command line cannot do what was asked; the message says what to do."""
