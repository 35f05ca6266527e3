import uuid
from datetime import UTC, datetime

import pytest

from console.domain.credentials import (
    digest,
    form_token,
    is_form_token,
    new_api_token,
    new_token,
)
from console.domain.paging import (
    PAGE_SIZE,
    decode_cursor,
    decode_moment,
    encode_cursor,
    id_range,
    page_of,
)
from console.domain.passwords import problem_with
from console.domain.roles import Role


def test_each_role_includes_those_before_it() -> None:
    assert [Role.OPERATOR.includes(role) for role in Role] == [True, True, False, False]


def test_a_form_token_follows_from_its_cookie_alone() -> None:
    cookie = new_token()
    assert is_form_token(form_token(cookie), cookie)
    assert not is_form_token(form_token(new_token()), cookie)
    assert not is_form_token("", cookie)
    assert not is_form_token("é", cookie)
    assert form_token(cookie) not in (cookie, digest(cookie).hex())


def test_a_leaked_api_token_can_be_recognised() -> None:
    assert new_api_token().startswith("pst_")
    assert new_api_token() != new_api_token()


@pytest.mark.parametrize(
    ("password", "problem"),
    [
        ("elevenchars", "12 characters"),
        ("x" * 201, "at the most"),
        ("i-am-ANN-and-nobody-else", "the name"),
        ("abababababab", "too few"),
        ("correct horse battery", None),
    ],
)
def test_passwords_are_long_and_do_not_follow_from_the_name(
    password: str, problem: str | None
) -> None:
    found = problem_with(password, name="ann")
    assert found is None if problem is None else problem in (found or "")


def test_the_beginning_of_an_id_means_every_id_that_begins_so() -> None:
    low, high = id_range("3f0c12ab-7")
    assert str(low) == "3f0c12ab-7000-0000-0000-000000000000"
    assert str(high) == "3f0c12ab-7fff-ffff-ffff-ffffffffffff"
    assert id_range(str(low)) == (low, low)
    assert id_range("") == id_range("-") == (None, None)


def test_a_cursor_is_read_back_and_a_made_up_one_is_the_start() -> None:
    assert decode_cursor(encode_cursor("2026-01-02", "x"), parts=2) == ("2026-01-02", "x")
    for made_up in ("", "x", "!!!!", "e30", encode_cursor("one"), "ÿÿÿÿ"):
        assert decode_cursor(made_up, parts=2) is None
        assert decode_moment(made_up) is None
    assert decode_moment(encode_cursor("2026-01-02", "x")) is None


def test_a_page_ends_where_the_next_one_goes_on() -> None:
    place = (datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), uuid.UUID(int=7))

    page = page_of(range(PAGE_SIZE + 1), lambda _: place)
    assert list(page.items) == list(range(PAGE_SIZE))
    assert page.next is not None
    assert decode_moment(page.next) == place

    assert page_of(range(PAGE_SIZE), lambda _: place).next is None
    assert page_of([], lambda _: place).next is None
