"""A task for each source file; and one for each of their lines, with another that merges."""

import ast
import keyword
import re
import tokenize
import warnings
from collections import Counter

from mainspring import task


@task
def count_source(path: str) -> dict[str, int]:
    """Parse a Python file and return how many functions, classes and words it holds.

    A file that is no valid Python makes the task fail, with the ``SyntaxError`` as its error.
    """
    with tokenize.open(path) as file:  # decodes as the file itself declares
        text = file.read()
    with warnings.catch_warnings():
        # Doubtful escapes and the like are a matter for the file's authors. This filter holds for
        # the whole process: fine here, as a worker runs tasks one at a time unless given --threads.
        warnings.simplefilter("ignore")
        tree = ast.parse(text, path)
    kinds = Counter(map(type, ast.walk(tree)))
    return {
        "functions": kinds[ast.FunctionDef] + kinds[ast.AsyncFunctionDef],
        "classes": kinds[ast.ClassDef],
        "words": len(text.split()),
    }


@task
def count_keywords(line: str) -> dict[str, int]:
    """Return how often each of Python's keywords stands in a line."""
    return dict(Counter(filter(keyword.iskeyword, re.findall(r"\w+", line))))


@task
def merge_counts(left: dict[str, int], right: dict[str, int]) -> dict[str, int]:
    """Return the counts of both together."""
    if not right:
        return left
    return left | {word: left.get(word, 0) + number for word, number in right.items()}
