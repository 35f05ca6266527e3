"""What the planner needs of a database's language: pure functions from decisions to statements.

One implementation per engine (`domain.pgsql`, `domain.tsql`); tested by golden files, without a
server.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from refresher.domain.catalog import Catalog, Column, Extent, Table
from refresher.domain.config import TableConfig
from refresher.domain.plan import CarriedColumn, Mask, Swap, TablePlan, Window
from refresher.domain.statements import Statement


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDraft:
    """Everything that was decided about a table; the dialect adds names and statements."""

    run: str
    """A short token for names of staging and undo tables: unique per plan."""

    config: TableConfig
    source: Table
    target: Table
    extent: Extent
    """Of the source."""

    columns: tuple[CarriedColumn, ...]
    added: tuple[Column, ...]
    """Columns of the source that the target lacks; `schema_statements` adds them."""

    widened: tuple[tuple[Column, Column], ...]
    """Target's and source's column, where the source's is wider."""

    swap: Swap
    window: Window | None
    row_limit: int | None
    masks: tuple[Mask, ...]
    local_after: Window | None = None
    """`low` is the last watermark: rows beyond it that production lacks are the testers' own.
    None: every row that production lacks counts as local."""

    deletes_missing: bool = True
    """Whether rows of the target (inside the window) that production lacks are deleted."""

    summarised: bool = True
    """Whether per-column numbers are compared."""

    checksummed: bool = True
    same_version: bool = True
    """Whether both servers are of one major version: only then their own hashes agree."""


class Dialect(Protocol):
    """One engine's language."""

    def choose_swap(
        self, config: TableConfig, target: Table, refreshed: Sequence[Table], capabilities: Catalog
    ) -> tuple[Swap, str]:
        """Return how the table is swapped, and why.

        Args:
            config: What was asked for.
            target: The table as it is.
            refreshed: Every table of the same run; a swap must not break references among them.
            capabilities: The target's catalog: what its server can do.
        """
        ...

    def compare_types(self, source: Column, target: Column) -> str:
        """Return `same`, `wider` (the source's holds more: the target can follow) or
        `incompatible`.
        """
        ...

    def widen_window(self, window: Window, target: Table) -> Window | None:
        """Return the window extended to whole partitions; None when no partition holds it."""
        ...

    def check_predicate(self, predicate: str) -> str | None:
        """Return why a condition from the configuration cannot be used, or None."""
        ...

    def table_plan(self, draft: TableDraft, base: TablePlan) -> TablePlan:
        """Return `base` with staging and undo names and every statement of one table filled in."""
        ...

    def swap_statements(
        self,
        drafts: Sequence[TableDraft],
        plans: Sequence[TablePlan],
        order: Sequence[Sequence[str]],
    ) -> tuple[Statement, ...]:
        """Return the one transaction that swaps a component.

        Args:
            drafts: The tables' decisions, parents first.
            plans: The same tables' plans.
            order: Keys, parents first; those in one group form a circle of references.
        """
        ...

    def after_statements(
        self, drafts: Sequence[TableDraft], plans: Sequence[TablePlan]
    ) -> tuple[Statement, ...]:
        """Return what follows the commit."""
        ...

    def undo_statements(
        self,
        drafts: Sequence[TableDraft],
        plans: Sequence[TablePlan],
        order: Sequence[Sequence[str]],
    ) -> tuple[Statement, ...]:
        """Return the one transaction that puts the old rows back."""
        ...
