"""What a bad day does to workers: kills, freezes, full disks, wrong clocks, a broken network.

After each run, all that was enqueued must have come to an end, and every execution must be on
record. ``--long`` does the same for much longer.
"""

import pytest

pytest.register_assert_rewrite("tests.chaos.account")  # its checks say what they have found
