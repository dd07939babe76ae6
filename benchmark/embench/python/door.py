"""Errors of all Python functions: they name Python's arguments, and suggest the nearest names."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from keyword import iskeyword
from types import TracebackType
from typing import ParamSpec, TypeVar

from embench.errors import EmbenchError, UsageError
from embench.registry.naming import did_you_mean
from embench.system import KEPT

_P = ParamSpec("_P")
_R = TypeVar("_R")
_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z-]*)(?: (?=[^\s,;:.]))?")
_SETTING = re.compile(r"(?<![\w-])--set ([\w.+\[\]]+)=([^\s,;:]+)")

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
        except KeyboardInterrupt:
            raise _in_one_sentence() from None

    return called


def _in_one_sentence() -> KeyboardInterrupt:
    """An interrupt that is printed as one sentence in place of a traceback, in scripts and in notebooks."""
    error = KeyboardInterrupt(f"interrupted; {KEPT}")
    error._render_traceback_ = lambda: [str(error)]  # type: ignore[attr-defined]  # the name that IPython looks for
    before = sys.excepthook

    def hook(kind: type[BaseException], raised: BaseException, trace: TracebackType | None) -> None:
        if "_render_traceback_" in vars(raised):
            sys.stderr.write(f"{raised}\n")
        else:
            before(kind, raised, trace)

    if getattr(before, "__module__", None) != __name__:
        sys.excepthook = hook
    return error


def in_python(text: str | None) -> str | None:
    """A message's text with arguments in place of options; commands are unchanged.

    >>> in_python("--seeds 0,x"), in_python("another --protocol"), in_python("--with"), in_python("embench run --dev")
    ('seeds=0,x', 'another protocol=', 'with_=', 'embench run --dev')
    >>> in_python("--set encoder.view.kind=context for the last 30 s")
    'set={"encoder.view.kind": "context"} for the last 30 s'
    """
    if text is None or "embench " in text:
        return text
    text = _SETTING.sub(r'set={"\1": "\2"}', text)
    return _OPTION.sub(lambda found: f"{found[1].replace('-', '_')}{'_' * iskeyword(found[1])}=", text)
