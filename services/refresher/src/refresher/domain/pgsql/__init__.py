"""PostgreSQL's language: pure functions from decisions to statements."""

from refresher.domain.pgsql.dialect import PostgresDialect

__all__ = ["PostgresDialect"]
