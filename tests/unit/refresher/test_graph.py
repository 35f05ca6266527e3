"""Which tables are swapped together, and in which order."""

from refresher.domain.graph import components


def test_tables_without_references_stand_alone() -> None:
    assert components(["a", "b"], []) == [(("a",),), (("b",),)]


def test_parents_stand_before_children_whatever_the_order_of_the_file() -> None:
    edges = [("lines", "orders"), ("orders", "customers")]
    assert components(["lines", "orders", "customers"], edges) == [
        (("customers",), ("orders",), ("lines",))
    ]


def test_a_circle_is_one_group_behind_its_parents() -> None:
    edges = [("store", "staff"), ("staff", "store"), ("store", "address"), ("rental", "staff")]
    assert components(["rental", "staff", "store", "address"], edges) == [
        (("address",), ("staff", "store"), ("rental",))
    ]


def test_references_to_oneself_and_to_others_are_no_circle() -> None:
    assert components(["staff"], [("staff", "staff"), ("staff", "elsewhere")]) == [(("staff",),)]
