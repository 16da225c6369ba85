"""Names of tests that are the same in every process."""

import re


def name_of(value: object) -> str:
    """Return a parameter as text, without where it lies in memory."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
