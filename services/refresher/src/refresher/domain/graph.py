"""References between tables: which are swapped together, and in which order.

A component is a set of tables that references connect, in any direction; its order puts parents
before children, and tables that refer to each other in a circle into one group.
"""

from collections.abc import Iterable, Mapping


def components(
    keys: Iterable[str], edges: Iterable[tuple[str, str]]
) -> list[tuple[tuple[str, ...], ...]]:
    """Return the components of the graph, each as its groups from parents to children.

    Args:
        keys: Every table.
        edges: Pairs of child and parent.
    """
    names = list(dict.fromkeys(keys))
    parents: dict[str, set[str]] = {name: set() for name in names}
    neighbours: dict[str, set[str]] = {name: set() for name in names}
    for child, parent in edges:
        if child in parents and parent in parents and child != parent:
            parents[child].add(parent)
            neighbours[child].add(parent)
            neighbours[parent].add(child)
    found = []
    seen: set[str] = set()
    for name in names:
        if name not in seen:
            members = _reach(name, neighbours)
            seen |= members
            found.append(_order([item for item in names if item in members], parents))
    return found


def _reach(start: str, neighbours: Mapping[str, set[str]]) -> set[str]:
    reached = {start}
    waiting = [start]
    while waiting:
        for name in neighbours[waiting.pop()] - reached:
            reached.add(name)
            waiting.append(name)
    return reached


def _order(names: list[str], parents: Mapping[str, set[str]]) -> tuple[tuple[str, ...], ...]:
    """Return groups in which every parent stands before its children, circles together."""
    above = {name: _reach(name, parents) for name in names}
    groups: list[tuple[str, ...]] = []
    placed: set[str] = set()
    while len(placed) < len(names):
        for name in names:
            circle = tuple(
                other for other in names if name in above[other] and other in above[name]
            )
            if name not in placed and above[name] - set(circle) <= placed:
                groups.append(circle)
                placed |= set(circle)
                break
    return tuple(groups)
