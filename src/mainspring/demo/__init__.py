"""`mainspring demo`: the source files of Python's standard library, a task for each."""


def main(argv: list[str]) -> int:
    """Run the demo; see ``mainspring demo --help``. Returns the exit status."""
    # Imported here, as it takes a while: a Ctrl-C meanwhile is for the caller to tell.
    from mainspring.demo.command import run

    return run(argv)
