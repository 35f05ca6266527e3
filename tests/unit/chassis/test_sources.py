"""Reading configuration: every problem named with its file and its field, no surprise accepted."""

from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict

from chassis.sources import (
    ConfigError,
    SourcesConfig,
    load_sources,
    parse_model,
    parse_yaml,
    validate,
)
from contracts.errors import ErrorCategory
from tests.support.paths import PROJECT

GOOD = """
version: 1
sources:
  - name: transcripts
    share: {kind: smb, root: Outputs}
    scan: {interval: 5m}
  - name: archive
    share: {kind: local, root: /srv/archive, connections: 2}
"""


class Rule(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    mode: Literal["a", "b"] = "a"


def test_sources_are_read_with_their_defaults(tmp_path: Path) -> None:
    (tmp_path / "sources.yaml").write_text(GOOD)

    first, second = load_sources(tmp_path).sources

    assert (first.name, first.scan, first.ingest) == ("transcripts", {"interval": "5m"}, {})
    assert first.share is not None
    assert (first.share.kind, first.share.backend, first.share.connections) == ("smb", "auto", 8)
    assert second.share is not None
    assert (second.share.root, second.share.connections) == ("/srv/archive", 2)


def test_the_example_that_is_shipped_is_valid() -> None:
    assert load_sources(PROJECT / "config").version == 1


def parse(text: str) -> SourcesConfig:
    return parse_yaml(SourcesConfig, text, name="sources.yaml")


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", ["document: Input should be a valid dictionary or instance of SourcesConfig"]),
        ("version: 2\nsources: []", ["version: Input should be 1"]),
        (
            "version: 1\nsources:\n  - {name: ../x, shard: {}}\n  - {share: {kind: ftp}}",
            [
                "sources.0.name: String should match pattern '^[A-Za-z0-9_][A-Za-z0-9._-]*$'",
                "sources.0.shard: Extra inputs are not permitted",
                "sources.1.name: Field required",
                "sources.1.share.kind: Input should be 'smb' or 'local'",
            ],
        ),
        (
            "version: 1\nsources:\n  - {name: a}\n  - {name: b}\n  - {name: a}",
            ["document: Value error, these names stand twice: a"],
        ),
        (
            "version: 1\nsources:\n  - {name: a, share: {kind: smb, connections: 33}}",
            ["sources.0.share.connections: Input should be less than or equal to 32"],
        ),
    ],
    ids=["empty", "version", "several", "twice", "bounds"],
)
def test_every_problem_of_the_structure_is_named_with_its_field(
    text: str, problems: list[str]
) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse(text)

    assert refusal.value.facts["problems"] == problems
    assert refusal.value.category is ErrorCategory.CONFIG_VALIDATION
    assert str(refusal.value).startswith("`sources.yaml`: ")


@pytest.mark.parametrize(
    "text",
    [
        "a: [1, 2",
        "a: b: c",
        "\tx: 1",
        "a: 1\n---\nb: 2",
        "a: !!python/object/apply:os.system ['true']",
        "[" * 2_000,
        "a: *nowhere",
        "a: &a [*a]\n? {b: 1}\n: 2",
        "a: 2026-13-45",
        "name: a\nmode: a\nname: b",
        "outer: {x: 1, x: 2}",
        "a: \x00",
    ],
    ids=lambda text: repr(text[:25]),
)
def test_what_is_no_plain_yaml_is_refused_as_such(text: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        parse_yaml(Rule, text, name="rule.yaml")

    assert refusal.value.category is ErrorCategory.CONFIG_PARSE
    assert "`rule.yaml` is not valid YAML" in str(refusal.value)


def test_a_key_that_stands_twice_is_named_with_its_line() -> None:
    with pytest.raises(ConfigError, match="the key 'name' stands twice") as refusal:
        parse_yaml(Rule, "name: a\nmode: b\nname: c", name="rule.yaml")

    assert "line 1" in str(refusal.value)


def test_merge_keys_and_anchors_work() -> None:
    text = "x: &base {name: a}\ny: {<<: *base, mode: b}"

    class Both(BaseModel):
        x: Rule
        y: Rule

    assert parse_yaml(Both, text, name="both.yaml").y == Rule(name="a", mode="b")


def test_a_file_that_is_missing_or_no_text_is_a_loading_problem(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")

    for name in ("missing.yaml", "binary.yaml"):
        with pytest.raises(ConfigError, match=f"`{name}` cannot be read") as refusal:
            parse_model(Rule, tmp_path / name)
        assert refusal.value.category is ErrorCategory.CONFIG_LOAD


def test_a_document_that_was_parsed_elsewhere_is_judged_by_the_same_rules() -> None:
    assert validate(Rule, {"name": "a"}, name="x") == Rule(name="a")
    with pytest.raises(ConfigError, match="`x`: mode: Input should be 'a' or 'b'"):
        validate(Rule, {"name": "a", "mode": "c"}, name="x")


def test_sources_may_lie_in_files_that_are_included(tmp_path: Path) -> None:
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "more.yaml").write_text(
        "version: 1\nsources: [{name: more, records: {kind: http}}]\n"
    )
    (tmp_path / "sources.yaml").write_text(
        "version: 1\ninclude: [presets/more.yaml]\nsources: [{name: first}]\n"
    )

    names = [source.name for source in load_sources(tmp_path).sources]

    assert names == ["first", "more"]


@pytest.mark.parametrize(
    ("included", "problem"),
    [
        ("version: 1\nsources: [{name: first}]\n", "stand twice"),
        ("version: 1\ninclude: [sources.yaml]\nsources: []\n", "includes others"),
        ("sources: []\n", "version"),
    ],
)
def test_an_included_file_is_checked_like_the_first(
    tmp_path: Path, included: str, problem: str
) -> None:
    (tmp_path / "more.yaml").write_text(included)
    (tmp_path / "sources.yaml").write_text(
        "version: 1\ninclude: [more.yaml]\nsources: [{name: first}]\n"
    )

    with pytest.raises(ConfigError, match=problem):
        load_sources(tmp_path)


@pytest.mark.parametrize("name", ["../other.yaml", "/etc/other.yaml", "a/../b.yaml", "a.json"])
def test_no_include_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "sources.yaml").write_text(f"version: 1\ninclude: ['{name}']\nsources: []\n")

    with pytest.raises(ConfigError, match="include"):
        load_sources(tmp_path)
