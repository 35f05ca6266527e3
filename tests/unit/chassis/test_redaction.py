"""What looks like a credential, or is known to be one, never comes through."""

import time
from collections.abc import Iterator

import pytest

from chassis import redaction
from chassis.redaction import redact, register_secrets, sanitize_url_for_logging


@pytest.fixture(autouse=True)
def no_known_secrets() -> Iterator[None]:
    before = list(redaction._known_secrets)
    redaction._known_secrets.clear()
    yield
    redaction._known_secrets[:] = before


@pytest.mark.covers("S1-27")
@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:pass@proxy:8080/x", "http://***@proxy:8080/x"),
        ("http://MAPLE%5Cuser:p%40ss@proxy:8080", "http://***@proxy:8080"),
        ("MAPLE\\user:pass@proxy.example:8080", "***@proxy.example:8080"),
        ("postgresql://user:p@ss@db/hub", "postgresql://***@db/hub"),
        ("postgresql://user:pa/s?s#1@db/hub", "postgresql://***@db/hub"),
        ("smb://DOMAIN;user@filer/share", "smb://***@filer/share"),
        ("https://api/x?token=abc&limit=5", "https://api/x?token=***&limit=5"),
        ("https://api/x?limit=5&api_key=abc", "https://api/x?limit=5&api_key=***"),
        ("https://app/cb#access_token=abc&x=1", "https://app/cb#access_token=***&x=1"),
        (
            "https://s3/b/k?X-Amz-Credential=AKIA%2F20&X-Amz-Date=1&X-Amz-Signature=dead",
            "https://s3/b/k?X-Amz-Credential=***&X-Amz-Date=1&X-Amz-Signature=***",
        ),
    ],
)
def test_a_url_loses_its_credentials_and_keeps_the_rest(url: str, shown: str) -> None:
    assert sanitize_url_for_logging(url) == shown
    assert redact(f"GET {url} failed, twice: {url}") == f"GET {shown} failed, twice: {shown}"


@pytest.mark.parametrize(
    "text",
    [
        "https://host:8080/path?limit=5&page=2",
        "https://host/users/a@b.example",
        "mail to a.b@example.org",
        "file_ingested path=Data/2024/Q1/RY-CA.xml size_bytes=12",
        "lease token 7 of relay, max_tokens=5, tokens: 3",
        "2026-01-02T03:04:05.678+00:00 partition 3 offset 17",
        "s3://bucket/raw/0123456789abcdef",
        "password authentication failed for user",
    ],
)
def test_what_is_no_credential_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


@pytest.mark.covers("S1-28")
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abc.def-ghi", "Authorization: Bearer ***"),
        ("{'authorization': 'Basic dXNlcjpwYXNz'}", "{'authorization': 'Basic ***'}"),
        ("sent bearer abcdefgh.ijkl", "sent bearer ***"),
        ("host=db password=hunter2 user=u", "host=db password=*** user=u"),
        ('{"client_secret": "hunter 2", "n": 1}', '{"client_secret": ***, "n": 1}'),
        ("{'api_key': 'k\"ey', 'n': 1}", "{'api_key': ***, 'n': 1}"),
        ("password: hunter2", "password: ***"),
        (
            "Input should be a number [type=x, input_value='hunter2, 3', input_type=str]",
            "Input should be a number [type=x, input_value=***, input_type=str]",
        ),
    ],
)
def test_a_credential_in_a_text_is_taken_out(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.covers("S1-28")
def test_a_registered_secret_is_taken_out_in_every_spelling() -> None:
    register_secrets(["p@ss/w\\örd'1"])

    for spelling in ("p@ss/w\\örd'1", "p%40ss%2Fw%5C%C3%B6rd%271", repr("p@ss/w\\örd'1")[1:-1]):
        assert redact(f"logon with {spelling} refused") == "logon with *** refused"


def test_the_password_of_a_registered_url_is_a_secret_by_itself() -> None:
    register_secrets(["postgresql://user:p%40ssw0rd@db:5432/hub"])

    assert redact("logon with p%40ssw0rd failed") == "logon with *** failed"
    assert redact("logon with p@ssw0rd failed") == "logon with *** failed"
    assert redact("no route to db:5432") == "no route to db:5432"


def test_a_secret_that_begins_like_another_does_not_leave_its_tail() -> None:
    register_secrets(["hunter2", "hunter2-and-more"])

    assert redact("x hunter2-and-more y hunter2 z") == "x *** y *** z"


def test_a_value_too_short_to_be_told_from_words_is_not_searched_for() -> None:
    register_secrets(["admin"])

    assert redact("the administrator") == "the administrator"


@pytest.mark.parametrize(
    "text",
    [
        "a" * 300_000,
        "a." * 150_000,
        "a://" * 75_000,
        "?key" * 75_000,
        "&" + "key" * 100_000,
        "password" * 40_000,
        "a:" * 150_000,
        "a:b@" * 75_000,
        "'" * 300_000,
        "bearer " * 40_000,
        "input_value=" * 25_000,
        "x://a:" * 50_000,
    ],
    ids=lambda text: text[:14],
)
def test_a_long_text_does_not_stop_the_event_loop(text: str) -> None:
    started = time.process_time()

    redact(text)

    # Without bounds, the first of these takes many minutes.
    assert time.process_time() - started < 2


def test_a_long_text_is_cut_and_says_so() -> None:
    shown = redact("x " * 10_000)

    assert shown == "x " * 8000 + "… (20000 characters)"


def test_a_secret_across_the_cut_does_not_show_its_first_half() -> None:
    register_secrets(["hunter2-canary"])

    shown = redact(" " * 15_990 + "hunter2-canary" + " " * 100)

    assert "hunter2" not in shown
