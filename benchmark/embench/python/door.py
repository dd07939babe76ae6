"""Errors of all Python functions: they name Python's arguments, and suggest the nearest names."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from keyword import iskeyword
from typing import ParamSpec, TypeVar

from embench.errors import EmbenchError, UsageError
from embench.registry.naming import did_you_mean

_P = ParamSpec("_P")
_R = TypeVar("_R")
_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z-]*)(?: (?=[^\s,;:.]))?")

_METHODS = ("model", "classifier", "clf", "estimator", "network")
"""Arguments of other libraries, for which ours has two."""
_OURS = (
    'a network is an `encoder`, a classifier a `fusion`: embench.{}(dataset=.., encoder="handcrafted", '
    'fusion="logreg"); or embench.benchmark(model, dataset)'
)


def from_python(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """The function, whose errors speak of arguments where the command line has options."""
    known = [p.name for p in signature(function).parameters.values() if p.kind is not Parameter.VAR_KEYWORD]

    @wraps(function)
    def called(*arguments: _P.args, **named: _P.kwargs) -> _R:
        for name in named:
            if name not in known:
                is_method = name in _METHODS and "encoder" in known
                raise UsageError(
                    f"embench.{function.__name__} has no argument `{name}`",
                    expected=", ".join(known),
                    hint=_OURS.format(function.__name__) if is_method else did_you_mean(name, known),
                )
        try:
            return function(*arguments, **named)
        except EmbenchError as error:
            error.what = str(in_python(error.what))
            error.where, error.expected, error.hint = map(in_python, (error.where, error.expected, error.hint))
            raise

    return called


def in_python(text: str | None) -> str | None:
    """A message's text with arguments in place of options; commands are unchanged.

    >>> in_python("--seeds 0,x"), in_python("another --protocol"), in_python("--with"), in_python("embench run --dev")
    ('seeds=0,x', 'another protocol=', 'with_=', 'embench run --dev')
    """
    if text is None or "embench " in text:
        return text
    return _OPTION.sub(lambda found: f"{found[1].replace('-', '_')}{'_' * iskeyword(found[1])}=", text)
