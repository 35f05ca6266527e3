"""The menu.

An entry is shown to those who may open its path; one without a route is not shown.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the menu."""

    title: str
    path: str
    icon: str
    """A symbol in `static/icons.svg`."""


NAVIGATION: tuple[tuple[str, tuple[Entry, ...]], ...] = (
    (
        "Watch",
        (
            Entry("Overview", "/", "overview"),
            Entry("Runs", "/runs", "runs"),
            Entry("Services", "/services", "services"),
        ),
    ),
    (
        "Data",
        (
            Entry("Sources", "/sources", "sources"),
            Entry("Tables", "/tables", "tables"),
            Entry("Datasets", "/datasets", "datasets"),
            Entry("Entities", "/entities", "entities"),
        ),
    ),
    (
        "Decide",
        (
            Entry("Dead letters", "/dead-letters", "dead-letters"),
            Entry("Schema drift", "/drifts", "drifts"),
        ),
    ),
    (
        "Administer",
        (
            Entry("Audit", "/audit", "audit"),
            Entry("Users and tokens", "/users", "users"),
        ),
    ),
)
