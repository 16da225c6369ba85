"""The names of the tasks in hangs.py, for tests that cannot import it."""

ALL = (
    "sleeps",
    "reads_socket",
    "waits_for_lock",
    "loops",
    "loops_and_catches_all",
    "holds_the_interpreter",
    "waits_for_program",
    "recurses_deeply",
    "asleeps",
    "aloops",
)
