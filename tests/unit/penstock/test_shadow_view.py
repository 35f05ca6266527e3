"""A difference between silver and its shadow, in lines."""

from typing import Any

from penstock.commands.shadow_view import describe


def won(source: str, external_id: str) -> dict[str, Any]:
    return {
        "source": source,
        "source_system": source,
        "external_id": external_id,
        "rule": f"LOWER(email); by {source} first",
    }


DIFF: dict[str, Any] = {
    "entity_type": "person",
    "ruleset_version": 2,
    "rules_hash": "abc",
    "of": {"limit": 9},
    "added": 1,
    "removed": 1,
    "changed": 2,
    "same": 5,
    "unseen": 3,
    "other_basis": 1,
    "rejected": 1,
    "scores": {"raised": 0, "lowered": 1, "mean_before": "0.9800", "mean_after": "0.9700"},
    "fields": {
        "email": {
            "changed": 2,
            "examples": [
                {
                    "entity_id": "P/1",
                    "before": "1@tdx",
                    "after": "1@umich",
                    "won_before": won("tdx", "1"),
                    "won_after": won("umich_api", "7"),
                },
                {
                    "entity_id": "P/2",
                    "before": None,
                    "after": "2@tdx",
                    "won_before": None,
                    "won_after": won("tdx", "2"),
                },
            ],
        },
        "notes": {"changed": 1, "examples": []},
    },
    "children": {
        "notes": {
            "added": 1,
            "removed": 0,
            "changed": 1,
            "examples": [
                {"entity_id": "P/1", "row": 3, "verdict": "added", "before": {}, "after": {}},
                {
                    "entity_id": "P/2",
                    "row": 1,
                    "verdict": "changed",
                    "before": {"text": "x"},
                    "after": {"text": "y"},
                },
            ],
        },
        "others": {"added": 0, "removed": 0, "changed": 0, "examples": []},
    },
    "examples": {
        "added": [{"entity_id": "P/8", "email": "8@tdx", "data_quality_score": "1.00"}],
        "removed": [{"entity_id": "P/9", "email": "9", "why": "rejected: has_at: no @"}],
    },
}


def test_a_difference_is_told_from_the_totals_down_to_examples() -> None:
    assert list(describe("people", DIFF)) == [
        "people by rules 2 (abc), from limit 9:",
        "1 would be added, 1 removed, 2 changed; 5 stay, 3 of them with other rules or provenance",
        "1 of those differ in the versions of bronze behind them, too",
        "score: 0 raised, 1 lowered; mean 0.9800 → 0.9700",
        "email: 2 changed",
        '  P/1: "1@tdx" (tdx 1) → "1@umich" (umich_api 7)',
        '  P/2: null → "2@tdx" (tdx 2)',
        "  rule: LOWER(email); by tdx first → LOWER(email); by umich_api first",
        "notes: 1 changed",
        "notes: 1 rows would be added, 0 removed, 1 changed",
        "  P/1 3: added",
        '  P/2 1: changed, text "x" → "y"',
        'added P/8 (email "8@tdx", data_quality_score "1.00")',
        'removed P/9 (email "9"): rejected: has_at: no @',
    ]
