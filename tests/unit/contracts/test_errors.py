"""The error categories that operators filter by."""

import pytest

from contracts.errors import ErrorCategory

ORIGINAL = [
    "environment_validation",
    "nas_connection",
    "config_load",
    "config_parse",
    "config_validation",
    "ssl_setup",
    "proxy_setup",
    "nas_download",
    "nas_upload",
    "nas_list_files",
    "nas_list_directories",
    "directory_creation",
    "file_metadata",
    "database_load",
    "queue_save",
    "path_validation",
    "main_execution",
]


@pytest.mark.covers("S1-29")
def test_the_seventeen_original_categories_keep_their_names_and_their_order() -> None:
    assert [category.value for category in ErrorCategory][:17] == ORIGINAL


def test_a_category_is_fit_for_file_names_and_labels() -> None:
    assert all(category.value.replace("_", "").isalpha() for category in ErrorCategory)
    assert all(category.value == category.value.lower() for category in ErrorCategory)
