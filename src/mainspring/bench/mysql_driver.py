"""The driver for MariaDB and MySQL: mysqlclient, or PyMySQL in its place where that is not there.

Light, as every process that has such a database imports it before Django asks for ``MySQLdb``.
"""

from importlib.util import find_spec
from typing import Final

ENGINE: Final = "django.db.backends.mysql"
_ASKED_FOR: Final = (2, 2, 1)  # by Django, of mysqlclient


def install() -> None:
    """See to it that ``import MySQLdb`` works; harmless to repeat."""
    if find_spec("MySQLdb") is not None:
        return
    import pymysql  # type: ignore[import-untyped]

    if pymysql.version_info[:3] < _ASKED_FOR:
        pymysql.version_info = (*_ASKED_FOR, "final", 0)
        pymysql.__version__ = ".".join(map(str, _ASKED_FOR))
    pymysql.install_as_MySQLdb()


def options() -> dict[str, object]:
    """Return the options of a connection: PyMySQL takes 50 ms to prepare TLS for each."""
    return {} if find_spec("MySQLdb") is not None else {"ssl_disabled": True}


def install_for(databases: dict[str, dict[str, object]]) -> None:
    """Do so if one of these entries of ``DATABASES`` needs it."""
    if any(entry.get("ENGINE") == ENGINE for entry in databases.values()):
        install()
