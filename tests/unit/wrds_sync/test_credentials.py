import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from wrds_sync.adapters.credentials import FileCredentials
from wrds_sync.errors import SourceRefusedError
from wrds_sync.settings.environment import WRDSConfig


def config(**more: object) -> WRDSConfig:
    given = {"WRDS_USERNAME": "somebody", "WRDS_PASSWORD": "from the environment"}
    return WRDSConfig.model_validate(given | more)


@pytest.mark.covers("S5-08")
def test_the_defaults_are_those_of_the_archive() -> None:
    found = config()
    assert (found.host, found.port, found.database) == (
        "wrds-pgdata.wharton.upenn.edu",
        9737,
        "wrds",
    )
    assert (found.pool_size, found.max_overflow) == (3, 2)
    assert (found.query_timeout_seconds, found.rate_limit_queries_per_minute) == (300, 10)
    assert "from the environment" not in repr(found)


@pytest.mark.covers("S5-13", "S5-79")
def test_a_secret_file_wins_and_is_read_anew(tmp_path: Path) -> None:
    credentials = FileCredentials(config(), tmp_path)
    assert credentials.read().password == "from the environment"
    secret = tmp_path / "WRDS_PASSWORD"
    secret.write_text("first\n", "utf-8")
    assert credentials.read().password == "first"
    secret.write_text("second\n", "utf-8")
    (tmp_path / "WRDS_USERNAME").write_text("another", "utf-8")
    found = credentials.read()
    assert (found.username, found.password) == ("another", "second")
    assert "second" not in repr(found)


def test_a_secret_that_is_no_text_is_refused_without_its_content(tmp_path: Path) -> None:
    (tmp_path / "WRDS_PASSWORD").write_bytes(b"\xff\xfe")
    with pytest.raises(SourceRefusedError, match="`WRDS_PASSWORD` cannot be read"):
        FileCredentials(config(), tmp_path).read()


@pytest.mark.covers("S5-48")
def test_the_end_is_the_given_day_or_the_age_of_the_file(tmp_path: Path) -> None:
    assert FileCredentials(config(), None).read().expires_at is None
    given = FileCredentials(config(WRDS_PASSWORD_EXPIRES_ON="2026-06-30"), tmp_path)
    assert given.read().expires_at == datetime(2026, 6, 30, tzinfo=UTC)
    secret = tmp_path / "WRDS_PASSWORD"
    secret.write_text("x", "utf-8")
    written = datetime(2026, 1, 1, tzinfo=UTC)
    os.utime(secret, (written.timestamp(), written.timestamp()))
    aged = FileCredentials(config(WRDS_PASSWORD_MAX_AGE_DAYS=90), tmp_path)
    assert aged.read().expires_at == written + timedelta(days=90)
