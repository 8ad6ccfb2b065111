"""What a check answers: a verdict and a hint, never an exception."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec

from momentum_lib.definition import RuleError

__all__ = ["Verdict", "checked"]

Asked = ParamSpec("Asked")


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is right, and what to look at next.

    True in a condition if the answer is right, so a solution can assert it.
    """

    right: bool
    text: str

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        return f"{'Right' if self.right else 'Not yet'}: {self.text}"


def checked(well_done: str) -> Callable[[Callable[Asked, str | None]], Callable[Asked, Verdict]]:
    """Make a check of a function that returns a hint for a wrong answer and None for a right one.

    Whatever the student hands in, the check answers: an exception becomes a hint too, so that a notebook
    with unsolved exercises still runs from top to bottom.

    Examples
    --------
    >>> @checked("one half is what is left.")
    ... def check_half(answer):
    ...     return None if abs(answer - 0.5) < 1e-9 else "multiply once by gamma."
    >>> check_half(0.5), check_half(0.7), check_half("x")
    (Right: one half is what is left., Not yet: multiply once by gamma., Not yet: the answer \
could not be used (TypeError: unsupported operand type(s) for -: 'str' and 'float').)
    """

    def decorate(hint: Callable[Asked, str | None]) -> Callable[Asked, Verdict]:
        @functools.wraps(hint)
        def check(*args: Asked.args, **kwargs: Asked.kwargs) -> Verdict:
            try:
                found = hint(*args, **kwargs)
            except RuleError as error:
                found = str(error)
            except Exception as error:
                found = f"the answer could not be used ({type(error).__name__}: {error})."
            return Verdict(True, well_done) if found is None else Verdict(False, found)

        return check

    return decorate
