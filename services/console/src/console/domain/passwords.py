"""Which passwords are good enough: long ones that do not follow from the name."""

MIN_LENGTH = 12
MAX_LENGTH = 200
"""Hashing takes longer the longer the password; nobody remembers more."""

_MIN_DIFFERENT = 5


def problem_with(password: str, *, name: str) -> str | None:
    """Return why a password cannot be taken; None if it can."""
    if len(password) < MIN_LENGTH:
        return f"It needs {MIN_LENGTH} characters or more."
    if len(password) > MAX_LENGTH:
        return f"It may have {MAX_LENGTH} characters at the most."
    if name.lower() in password.lower():
        return "It must not contain the name."
    if len(set(password)) < _MIN_DIFFERENT:
        return "It repeats too few characters."
    return None
