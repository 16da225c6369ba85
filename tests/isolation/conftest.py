"""The sites of the tests with real workers, for what one task may leave to another."""

from tests.integration.conftest import (  # noqa: F401
    _can_be_interrupted,
    engine,
    make_site,
    make_sites,
    new_database,
    site,
    template,
)
