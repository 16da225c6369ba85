"""MariaDB 10.6 and later, MySQL 8.0.17 and later, through mysqlclient."""

from mainspring.backends.database.vendors.mysql.dialect import MySQLDialect

__all__ = ["MySQLDialect"]
