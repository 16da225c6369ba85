"""PostgreSQL 14 and later, through psycopg 3."""

from mainspring.backends.database.vendors.postgresql.dialect import PostgresDialect

__all__ = ["PostgresDialect"]
