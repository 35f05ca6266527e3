import json
import unicodedata
from pathlib import PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chassis.shares.paths import (
    join,
    validate_directory_path,
    validate_file_path,
    validate_nas_path,
)
from chassis.shares.port import UnsafePathError
from contracts.errors import ErrorCategory
from tests.support.paths import shared_data

SAFE = [
    "a.xml",
    "Data/2024/Q1/Canadian/RY-CA/RY-CA_Q1_2024_E1_1_1.xml",
    "a b/c,d/(e)/f'g.xml",
    ".hidden/~$lock.tmp",
    "Société Générale/naïve.xml",
    "日本/ファイル.xml",
    "🎙️/👩‍👩‍👧.xml",
    "%2e%2e/x.xml",
    "a…/x.xml.",
    "12.30 call/x.xml",
    "x" * 255,
    "é" * 127,
    "/".join("x" * 32),
]

UNSAFE = [
    ("", "has an empty name"),
    ("/a", "has an empty name"),
    ("a/", "has an empty name"),
    ("a//b", "has an empty name"),
    (".", "climbs"),
    ("..", "climbs"),
    ("../a", "climbs"),
    ("a/../b", "climbs"),
    ("a/./b", "climbs"),
    ("a/.. /b", "climbs"),
    ("a/. ./b", "climbs"),
    ("a/.../b", "climbs"),
    ("a/ /b", "climbs"),
    ("a\\b", "backslash"),
    ("..\\..\\b", "backslash"),
    ("a\0.xml", "control"),
    ("a\n.xml", "control"),
    ("a\x7f", "control"),
    ("a\x85", "control"),
    ("a\u2028b", "control"),
    ("a\ud800", "control"),
    ("C:/a", "drive"),
    ("c:a", "drive"),
    ("a/C:/b", "drive"),
    ("x" * 256, "255 bytes"),
    ("é" * 128, "255 bytes"),
    ("/".join("x" * 33), "levels deep"),
    # What folds into the characters above: full-width and look-alike forms.
    ("\uff0e\uff0e/a", "climbs"),
    ("\u2025/a", "climbs"),
    ("\u2024\u2024/a", "climbs"),
    ("a\uff0f\uff0e\uff0e\uff0fb", "climbs"),
    ("a\uff0fb", "folds into a slash"),
    ("a\u2100b", "folds into a slash"),
    ("a\uff3cb", "backslash"),
    ("\uff23\uff1a/a", "drive"),
]


@pytest.mark.covers("S1-25")
@pytest.mark.parametrize("path", SAFE)
def test_a_safe_path_is_returned_unchanged(path: str) -> None:
    assert validate_file_path(path) is path


@pytest.mark.covers("S1-25")
@pytest.mark.parametrize(("path", "reason"), UNSAFE)
def test_an_unsafe_path_is_refused_with_its_reason(path: str, reason: str) -> None:
    with pytest.raises(UnsafePathError) as refused:
        validate_file_path(path)
    assert reason in refused.value.message
    assert refused.value.category is ErrorCategory.PATH_VALIDATION
    # The message itself is harmless, whatever the path has.
    assert refused.value.message.isascii()
    assert refused.value.message.isprintable()


@pytest.mark.covers("S1-25")
def test_naughty_strings_are_refused_or_harmless() -> None:
    strings: list[str] = json.loads(shared_data("nasty", "blns", "blns.json").read_text("utf-8"))
    accepted = {string for string in strings if _is_accepted(string)}
    assert len(strings) == 515
    for string in accepted:
        _assert_harmless(string)
    traversals = [string for string in strings if string.startswith("../")]
    assert len(traversals) == 2
    assert accepted.isdisjoint(traversals)
    assert {"undefined", "🐵 🙈 🙉 🙊", "CON", "NULL"} <= accepted


@given(st.text(st.characters(codec=None), max_size=40))
@example("a/..\u3000/b")
def test_any_text_is_refused_or_harmless(text: str) -> None:
    if _is_accepted(text):
        _assert_harmless(text)


@given(st.lists(st.sampled_from(["..", ".", "", "a", " ", "..\u2009", "．．", "é", "b.xml"])))  # noqa: RUF001
def test_any_mix_of_parts_is_refused_or_harmless(parts: list[str]) -> None:
    path = "/".join(parts)
    if _is_accepted(path):
        _assert_harmless(path)


@pytest.mark.covers("S1-26")
@pytest.mark.parametrize(
    ("configured", "path"),
    [
        ("", ""),
        ("/", ""),
        ("\\", ""),
        ("  ", ""),
        ("Finance", "Finance"),
        ("/Finance/Calls/", "Finance/Calls"),
        ("\\Finance\\Calls", "Finance/Calls"),
        ("\\\\Finance\\Calls\\", "Finance/Calls"),
        ("Outputs/Logs", "Outputs/Logs"),
    ],
)
def test_a_base_path_may_be_spelled_as_operators_do(configured: str, path: str) -> None:
    assert validate_nas_path(configured) == path


@pytest.mark.covers("S1-26")
@pytest.mark.parametrize(
    "configured", ["..", "a\\..\\b", "C:\\Data", "a//b", "a\nb", "\uff0e\uff0e\\a"]
)
def test_an_unsafe_base_path_is_refused(configured: str) -> None:
    with pytest.raises(UnsafePathError):
        validate_nas_path(configured)


def test_the_root_is_a_directory_and_no_file() -> None:
    assert validate_directory_path("") == ""
    assert validate_directory_path("a/b") == "a/b"
    with pytest.raises(UnsafePathError):
        validate_directory_path("../a")


def test_joining_leaves_the_root_out() -> None:
    assert join("", "a", "", "b/c") == "a/b/c"
    assert join("", "") == ""


def _is_accepted(path: str) -> bool:
    try:
        validate_file_path(path)
    except UnsafePathError:
        return False
    return True


def _assert_harmless(path: str) -> None:
    for form in (path, unicodedata.normalize("NFKC", path)):
        assert not PurePosixPath(form).is_absolute()
        assert ".." not in PurePosixPath(form).parts
        assert not {"\\", "\0", "\n", "\r"} & set(form)
        assert all(part.strip(" .") for part in form.split("/"))
    assert path.count("/") == unicodedata.normalize("NFKC", path).count("/")
    path.encode()
