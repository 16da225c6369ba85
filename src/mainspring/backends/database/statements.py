"""The SQL statements, one to a file in sql/, read once."""

from functools import cache
from importlib.resources import files


@cache
def statement(vendor: str, name: str) -> str:
    """Return the statement of ``sql/<vendor>/<name>.sql``, without its comments."""
    text = files(__package__).joinpath("sql", vendor, f"{name}.sql").read_text("utf-8")
    lines = (line.strip() for line in text.splitlines())
    return " ".join(line for line in lines if line and not line.startswith("--"))
