"""A map of which some calls raise, some hang past their timeout and some end their process.

Short: 4,000 calls. ``--long``: 100,000, of which 1 % raise, 0.1 % hang and 5 end their process.
"""

import json
import subprocess
import time
from collections.abc import Callable

import pytest

from tests.chaos.report import Report
from tests.integration.databases import on_postgresql
from tests.integration.sites import Site

HANGS = 1000  # one in so many
TIMEOUT = 1  # seconds

_RUN = """
import json
from jobs.mapped import mishap
handle = mishap.starmap((number, {hangs}, {crashes}) for number in range({calls})).wait({patience})
print(json.dumps({{
    "values": list(handle.values(skip_failed=True)),
    "errors": [
        [result.args[0], result.errors[-1].exception_class_path.rpartition(".")[2]]
        for result in handle.errors()
    ],
    "done": handle.done,
    "failed": handle.failed,
}}))
"""


@pytest.mark.chaos
@on_postgresql
def test_each_call_fails_for_itself(
    make_site: Callable[..., Site], engine: str, report: Report, is_long: bool
) -> None:
    calls, crashes, patience = (100_000, 20_000, 300) if is_long else (4_000, 2_000, 60)
    raises = dict.fromkeys(range(3, calls, 100), "ValueError")
    hang = dict.fromkeys(range(7, calls, HANGS), "TaskTimeout")
    crash = dict.fromkeys(range(11, calls, crashes), "WorkerLost")
    site = make_site()
    site.worker("--processes=2")
    code = _RUN.format(hangs=HANGS, crashes=crashes, calls=calls, patience=patience)
    began = time.monotonic()
    process = site.manage("shell", "--no-imports", "-c", code, stdout=subprocess.PIPE)
    printed, _ = process.communicate(timeout=patience + 60)
    seconds = time.monotonic() - began
    assert process.returncode == 0, printed
    found = json.loads(printed.splitlines()[-1])

    expected = raises | hang | crash
    wrong = [pair for pair in found["errors"] if expected.get(pair[0]) != pair[1]]
    values = [number for number in range(calls) if number not in expected]
    report.add(
        f"failures of a map: {engine}",
        {
            "calls": calls,
            "  that raised": len(raises),
            "  that hung": len(hang),
            "  that ended their process, three times each": len(crash),
            "  with another error than their own": len(wrong),
            "  with the right value": len(values) if found["values"] == values else "not all",
            "seconds": seconds,
            "  of which the timeouts take, on two processes": len(hang) * TIMEOUT / 2,
        },
    )
    assert found["values"] == values
    assert (wrong, len(found["errors"])) == ([], len(expected))
    assert (found["done"], found["failed"]) == (calls, len(expected))
