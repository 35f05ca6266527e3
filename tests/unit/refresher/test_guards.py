"""The most important feature: production cannot be hit. Each guard refuses alone."""

from dataclasses import replace

import pytest

from refresher.domain.guards import Identity, Pins, VerifiedTarget, verify

SOURCE = Identity(
    fingerprint="source-1", database="shop", login="reader", version="16", marker=None
)
TARGET = Identity(
    fingerprint="target-1", database="shop_uat", login="writer", version="16", marker="target"
)
PINS = Pins(source="source-1", target="target-1")


def refused(
    source: Identity = SOURCE,
    target: Identity = TARGET,
    pins: Pins = PINS,
    known: tuple[str, ...] = (),
) -> set[str]:
    verdict = verify(source, target, pins=pins, known_sources=known)
    assert not isinstance(verdict, VerifiedTarget)
    return {item.code for item in verdict}


@pytest.mark.covers("S4-01", "C-33")
def test_a_pinned_marked_target_and_a_powerless_source_are_accepted() -> None:
    verdict = verify(SOURCE, TARGET, pins=PINS, known_sources=("source-1",))
    assert isinstance(verdict, VerifiedTarget)
    assert verdict.fingerprint == "target-1"


@pytest.mark.covers("C-33")
def test_swapped_databases_are_refused_for_every_reason() -> None:
    codes = refused(source=TARGET, target=replace(SOURCE, powers=("it owns everything",)))
    assert codes == {
        "source_fingerprint",
        "target_fingerprint",
        "swapped",
        "target_not_marked",
        "source_marked",
    }


def test_a_target_that_is_not_the_pinned_one_is_refused() -> None:
    assert refused(target=replace(TARGET, fingerprint="other")) == {"target_fingerprint"}


def test_a_source_that_is_not_the_pinned_one_is_refused() -> None:
    assert refused(source=replace(SOURCE, fingerprint="other")) == {"source_fingerprint"}


def test_nothing_is_accepted_that_nobody_pinned() -> None:
    assert refused(pins=Pins(source=None, target=None)) == {
        "source_not_pinned",
        "target_not_pinned",
    }


@pytest.mark.covers("C-33")
@pytest.mark.parametrize("marker", [None, "", "source", "Target"])
def test_a_target_without_the_marker_is_refused(marker: str | None) -> None:
    assert refused(target=replace(TARGET, marker=marker)) == {"target_not_marked"}


def test_a_source_that_carries_the_marker_is_refused() -> None:
    assert refused(source=replace(SOURCE, marker="target")) == {"source_marked"}


@pytest.mark.covers("S4-18", "C-33")
def test_a_source_login_that_could_write_is_refused_and_told_how() -> None:
    verdict = verify(
        replace(SOURCE, powers=("it may write to public.orders",)),
        TARGET,
        pins=PINS,
        known_sources=(),
    )
    assert not isinstance(verdict, VerifiedTarget)
    assert [item.code for item in verdict] == ["source_can_write"]
    assert "public.orders" in verdict[0].sentence


def test_one_database_for_both_is_refused() -> None:
    same = replace(TARGET, fingerprint="source-1")
    assert "same_database" in refused(target=same, pins=Pins(source="source-1", target="source-1"))


def test_a_database_that_was_ever_a_source_is_no_target() -> None:
    assert refused(known=("target-1",)) == {"target_is_a_source"}


def test_a_proof_cannot_be_made_by_hand() -> None:
    with pytest.raises(TypeError, match="verify only"):
        VerifiedTarget("target-1", object())
