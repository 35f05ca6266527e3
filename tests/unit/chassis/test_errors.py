"""Errors: a default message, a category, facts, and what they ask of the loop."""

import pytest

from chassis.errors import (
    LeaseLostError,
    MessageDecodeError,
    PenstockError,
    PermanentError,
    SettingsError,
    TransientError,
    UnavailableError,
)
from contracts.errors import ErrorCategory


@pytest.mark.covers("S1-30")
@pytest.mark.parametrize(
    ("error", "message", "category"),
    [
        (PenstockError(), "Something went wrong.", ErrorCategory.MAIN_EXECUTION),
        (UnavailableError(), "A dependency does not answer.", ErrorCategory.MAIN_EXECUTION),
        (
            MessageDecodeError(),
            "The message is not a readable event or command.",
            ErrorCategory.MESSAGE_DECODE,
        ),
        (
            SettingsError(),
            "The settings are incomplete or wrong.",
            ErrorCategory.ENVIRONMENT_VALIDATION,
        ),
        (
            PermanentError("gone", category=ErrorCategory.NAS_DOWNLOAD),
            "gone",
            ErrorCategory.NAS_DOWNLOAD,
        ),
    ],
    ids=lambda item: type(item).__name__,
)
def test_an_error_has_a_message_and_a_category(
    error: PenstockError, message: str, category: ErrorCategory
) -> None:
    assert (str(error), error.message, error.category) == (message, message, category)


def test_what_is_known_about_a_failure_are_its_facts() -> None:
    error = UnavailableError("away", retry_after=5, dependency="kafka", attempt=3)

    assert error.retry_after == 5
    assert error.facts == {"dependency": "kafka", "attempt": 3}


def test_the_two_roots_do_not_meet() -> None:
    for error in (UnavailableError, LeaseLostError):
        assert issubclass(error, TransientError)
        assert not issubclass(error, PermanentError)
    for other in (MessageDecodeError, SettingsError):
        assert issubclass(other, PermanentError)
        assert not issubclass(other, TransientError)
