"""One producer of `mainspring bench sqlite`: enqueues one task after the other."""

import sys

import django


def main(path: str, first: int, number: int) -> None:
    """Enqueue ``number`` tasks that note themselves in the file at ``path``."""
    django.setup()
    from mainspring.bench.queue_tasks import note

    for i in range(first, first + number):
        note.enqueue(path, i)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
