import pytest

from chassis.errors import PermanentError
from contracts.errors import ErrorCategory
from ingestor import errors


@pytest.mark.parametrize(
    ("kind", "category"),
    [
        (errors.UnparseableError, ErrorCategory.CONTENT_PARSE),
        (errors.UnsafeDocumentError, ErrorCategory.CONTENT_PARSE),
        (errors.DocumentTooLargeError, ErrorCategory.MESSAGE_TOO_LARGE),
        (errors.UnknownSourceError, ErrorCategory.CONFIG_VALIDATION),
        (errors.UnreadableFileError, ErrorCategory.NAS_DOWNLOAD),
        (errors.VanishedFileError, ErrorCategory.NAS_DOWNLOAD),
        (errors.OutdatedParserError, ErrorCategory.ENVIRONMENT_VALIDATION),
    ],
)
def test_every_failure_has_the_category_that_operators_look_for(
    kind: type[PermanentError], category: ErrorCategory
) -> None:
    assert kind().category is category
    assert kind().message.endswith(".")
