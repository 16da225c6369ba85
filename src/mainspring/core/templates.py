"""Texts that are made of a call's arguments, by ``str.format()``."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from inspect import Parameter, Signature, signature
from string import Formatter
from typing import Any


def problem_of(template: str) -> str | None:
    """Return, as the end of a sentence, what is wrong with a template; None if it is fine."""
    if not template:
        return "must not be empty"
    try:
        fields = list(Formatter().parse(template))
    except ValueError as error:
        return f"is no text that str.format() takes: {error}"
    for _, name, form, _ in fields:
        if name is None:
            continue
        if not (name.isidentifier() or (name.isascii() and name.isdecimal())):
            return (
                f"has {{{name}}}; it may name arguments alone, such as {{0}} or {{user_id}}: for a "
                "part of one, use a function"
            )
        if form and "{" in form:
            return f"has an argument in the format {form!r} of another one"
    return None


def problem_with(template: str, func: Callable[..., Any], takes_context: bool) -> str | None:
    """Return the reason why no call of ``func`` fits a template; None if calls may fit."""
    parameters = _signature(func, takes_context).parameters.values()
    kinds = {parameter.kind for parameter in parameters}
    positions = sum(
        p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD) for p in parameters
    )
    names = {p.name for p in parameters}
    for name in names_in(template):
        is_there = (
            Parameter.VAR_POSITIONAL in kinds or int(name) < positions
            if name.isdecimal()
            else Parameter.VAR_KEYWORD in kinds or name in names
        )
        if not is_there:
            return f"has {{{name}}}, which is no argument of {func.__qualname__}()"
    return None


def names_in(template: str) -> list[str]:
    """Return the names and numbers of the arguments that a template needs."""
    return [name for _, name, _, _ in Formatter().parse(template) if name is not None]


def format_call(
    template: str,
    func: Callable[..., Any],
    takes_context: bool,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> str:
    """Return a template with a call's arguments in it.

    An argument is found by its name and by its place, however it is given. Raises ``TypeError``
    where the arguments are not those of ``func``, ``ValueError`` where they lack one that the
    template names, and what a format raises.
    """
    bound = _signature(func, takes_context).bind(*args, **kwargs)
    bound.apply_defaults()
    named = {**bound.arguments, **bound.kwargs}
    for name in names_in(template):
        if not (int(name) < len(bound.args) if name.isdecimal() else name in named):
            raise ValueError(f"the call lacks the argument {{{name}}}")
    return template.format(*bound.args, **named)


@lru_cache(maxsize=1024)
def _signature(func: Callable[..., Any], takes_context: bool) -> Signature:
    whole = signature(func)
    if not takes_context:
        return whole
    return whole.replace(parameters=list(whole.parameters.values())[1:])
