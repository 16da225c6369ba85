"""Fixtures for sites with real workers, to test what one task may leave to the next."""

from tests.integration.conftest import (  # noqa: F401
    _can_be_interrupted,
    engine,
    make_site,
    make_sites,
    new_database,
    site,
    template,
)
