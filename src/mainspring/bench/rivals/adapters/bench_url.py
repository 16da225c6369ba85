"""The URL of a PostgreSQL database as Django's settings want it."""

from urllib.parse import parse_qsl, unquote, urlsplit


def django_database(url: str) -> dict[str, object]:
    """Return the entry of ``DATABASES`` for the PostgreSQL database at ``url``."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", None) or parts.hostname or "",
        "PORT": str(options.pop("port", None) or parts.port or ""),
        "CONN_MAX_AGE": None,
        "OPTIONS": options,
    }
