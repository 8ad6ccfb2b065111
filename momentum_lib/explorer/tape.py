"""The tape: a rule stepped once on symbols that write down what is done to them, printed as JavaScript.

A rule becomes a generator function. Each call of `grad` is a ``yield`` of the point where the gradient is
read; what comes back is the gradient there. The operations stand in the author's order, so a browser makes
the floats that `run` makes, but for powers and the functions of `_CALLS`, which may differ in the last digit.
"""

from __future__ import annotations

import inspect
import linecache
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from momentum_lib.definition import Rule, RuleError

__all__ = ["Unprintable", "generator_of"]


class Unprintable(RuleError):  # noqa: N818 - as `NotLinear`: the verdict is the name
    """A rule that no formula of one coordinate tells; the message names the line and the way out."""


#: How strongly what an operator made holds together; an atom holds most.
_INFIX: Final = {
    "logical_or": ("||", 1), "bitwise_or": ("||", 1), "logical_and": ("&&", 2), "bitwise_and": ("&&", 2),
    "equal": ("==", 3), "not_equal": ("!=", 3), "less": ("<", 4), "less_equal": ("<=", 4),
    "greater": (">", 4), "greater_equal": (">=", 4), "add": ("+", 5), "subtract": ("-", 5),
    "multiply": ("*", 6), "divide": ("/", 6), "remainder": ("%", 6), "power": ("**", 8),
}  # fmt: skip
_PREFIX: Final = {"negative": "-", "positive": "+", "logical_not": "!", "invert": "!"}
_UNARY, _ATOM = 7, 9
_CALLS: Final = {
    "absolute": "abs", "maximum": "max", "minimum": "min", "arctan": "atan", "arctan2": "atan2",
    **{name: name for name in (
        "sqrt", "cbrt", "exp", "expm1", "log", "log1p", "log2", "log10", "sin", "cos", "tan", "sinh", "cosh",
        "tanh", "sign", "floor", "ceil", "trunc", "hypot",
    )},
}  # fmt: skip
#: Powers that NumPy computes by an operation of their own, and so exactly.
_EXACT_POWERS: Final = {2: ("multiply", "xx"), 1: ("positive", "x"), 0.5: ("sqrt", "x"), -1: ("divide", "1x")}


@dataclass(eq=False)
class _Tape:
    """What was done, in order, and what it was done to."""

    rule: Rule
    done: list[_Value] = field(default_factory=list)

    def note(self, what: str, *on: Any) -> _Value:
        self.done.append(_Value(self, what, tuple(map(self.value, on))))
        return self.done[-1]

    def value(self, given: Any) -> _Value:
        """What was noted, or a constant."""
        if isinstance(given, _Value):
            return given
        try:
            number = float(given)
        except (TypeError, ValueError):
            shape = np.shape(given)
            what = f"an array of shape {shape}" if shape else f"a {type(given).__name__}"
            _refuse(f"computes with {what}", "explore steps each coordinate by itself, with plain numbers")
        return _Value(self, repr(int(number) if number.is_integer() and abs(number) < 2**53 else number))


def _refuse(why: str, remedy: str) -> NoReturn:
    raise Unprintable(f"{why}; {remedy}")


_TOGETHER: Final = (
    "looks at several coordinates at once",
    "explore steps each by itself: plot_path and plot_error show this rule",
)


class _Value(NDArrayOperatorsMixin):
    """A number of one coordinate that is not known yet."""

    __array_priority__ = 1000

    def __init__(self, tape: _Tape, what: str, on: tuple[_Value, ...] = ()) -> None:
        self._tape, self._what, self._on = tape, what, on

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or options or ufunc.__name__ in ("matmul", "vecdot"):
            _refuse(*_TOGETHER)
        name = ufunc.__name__
        if name == "square":
            name, inputs = "power", (*inputs, 2)
        if name == "reciprocal":
            name, inputs = "divide", (1, *inputs)
        if name == "power" and isinstance(inputs[1], int | float) and inputs[1] in _EXACT_POWERS:
            name, form = _EXACT_POWERS[inputs[1]]
            inputs = tuple(inputs[0] if letter == "x" else 1 for letter in form)
        if name == "remainder":  # JavaScript's has the sign of what is divided
            rest, by = self._tape.note("remainder", *inputs), inputs[1]
            return np.where(rest * by < 0, rest + by, rest)
        if name == "floor_divide":
            return np.floor(np.divide(*inputs))
        if name not in _INFIX and name not in _PREFIX and name not in _CALLS:
            _refuse(
                f"calls np.{name}", "explore prints + - * / **, comparisons, np.where and the usual functions"
            )
        return self._tape.note(name, *inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        name = function.__name__
        if name == "where" and len(args) == 3:
            return self._tape.note("where", *args)
        if name == "clip" and len(args) == 3:
            value, low, high = args  # None bounds nothing
            value = value if low is None else np.maximum(value, low)
            return value if high is None else np.minimum(value, high)
        if name in ("zeros_like", "ones_like"):
            return self._tape.value(int(name == "ones_like"))
        _refuse(*_TOGETHER)

    def __bool__(self) -> bool:
        _refuse("branches on a value", "np.where(condition, a, b) keeps both sides")

    def _number(self, *_: Any) -> Any:
        _refuse(
            "wants a number where there is only a formula", "take NumPy's functions, np.sqrt for math.sqrt"
        )

    __float__ = __int__ = __complex__ = __index__ = __round__ = __floor__ = __ceil__ = __trunc__ = _number

    def _together(self, *_: Any, **__: Any) -> Any:
        _refuse(*_TOGETHER)

    __array__ = __len__ = __iter__ = __getitem__ = __setitem__ = _together

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # NumPy asks for protocols that are not here
            raise AttributeError(name)
        return self._together()


def generator_of(rule: Rule, step: Callable[..., Any], fixed: Mapping[str, Any]) -> str:
    """A step of a rule as a JavaScript generator function of its slots, its letters in order, and t.

    Parameters
    ----------
    rule : Rule
    step : callable
        Its body or its first step.
    fixed : mapping of str to number
        Letters that are no arguments.

    Raises
    ------
    Unprintable
        The step branches on a value, couples coordinates, or calls what JavaScript has not.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> print(generator_of(heavy_ball, heavy_ball.step, {}))
    function* (s0, s1, p0, p1, t) {
      const g0 = yield s0;
      const a = p1 * s1 + p0 * g0;
      return [s0 - a, a];
    }
    """
    tape = _Tape(rule)
    slots = [_Value(tape, f"s{i}") for i in range(len(rule.slots))]
    names = [n for n in rule.hyper if n != "t" and n not in fixed]
    letters: dict[str, Any] = {n: _Value(tape, f"p{i}") for i, n in enumerate(names)}
    letters |= {n: np.float64(value) for n, value in fixed.items() if n in rule.hyper}
    if rule.counts and "t" not in fixed:
        letters["t"] = _Value(tape, "t")
    try:
        made = rule.apply(step, slots, lambda x: tape.note("yield", x), letters)
        out = [tape.value(value) for value in made]
    except Exception as error:
        raise Unprintable(_told(rule, error)) from error
    arguments = ", ".join([value._what for value in slots] + [f"p{i}" for i in range(len(names))] + ["t"])
    return f"function* ({arguments}) {{\n{_printed(tape.done, out)}}}"


def _told(rule: Rule, error: BaseException) -> str:
    """The line at which a rule could not be printed, why, and the way out."""
    at = None
    for frame, number in traceback.walk_tb(error.__traceback__):
        code = frame.f_code
        if code.co_filename not in _OURS and "/numpy/" not in code.co_filename.replace("\\", "/"):
            at = code, number
    reason = str(error) if isinstance(error, RuleError) else f"fails on symbols ({error})"
    if at is None:
        return f"{rule.name} {reason}."
    code, number = at
    text = linecache.getline(code.co_filename, number).strip()
    where = f"line {number - code.co_firstlineno + 1} of {code.co_name}" + (f", `{text}`," if text else "")
    return f"{where} {reason}."


_OURS: Final = (__file__, inspect.getfile(Rule))


def _printed(done: Iterable[_Value], out: Iterable[_Value]) -> str:
    """The statements: a name for each gradient and for what is used twice, all else where it is used."""
    done, out = list(done), list(out)
    uses = Counter(id(value) for value in out)
    for value in reversed(done):
        if uses[id(value)] or value._what == "yield":
            uses.update(map(id, value._on))
    names: dict[int, str] = {}
    lines, reads = [], 0
    for value in done:
        if value._what == "yield":
            names[id(value)] = f"g{reads}"
            lines.append(f"  const g{reads} = yield {_text(value._on[0], names)[0]};\n")
            reads += 1
        elif uses[id(value)] > 1:
            text, _ = _text(value, names)
            names[id(value)] = _letter(len(names) - reads)
            lines.append(f"  const {names[id(value)]} = {text};\n")
    return "".join(lines) + f"  return [{', '.join(_text(value, names)[0] for value in out)}];\n"


def _letter(count: int) -> str:
    """Names a, b, ..., none of them that of an argument: p, s, g and t are left out."""
    letters = "abcdefhijklmnoqruvwxyz"
    return letters[count % len(letters)] + (str(count // len(letters)) if count >= len(letters) else "")


def _text(value: _Value, names: Mapping[int, str]) -> tuple[str, int]:
    """An expression, and how strongly it holds together."""
    if id(value) in names:
        return names[id(value)], _ATOM
    what, on = value._what, [_text(part, names) for part in value._on]
    if not on:
        special = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}
        return special.get(what, what), _UNARY if what.startswith("-") else _ATOM
    if what in _CALLS:
        return f"Math.{_CALLS[what]}({', '.join(text for text, _ in on)})", _ATOM
    if what in _PREFIX:
        return f"{_PREFIX[what]}{_held(on[0], _ATOM)}", _UNARY
    if what == "where":
        yes, a, b = (_held(part, 1) for part in on)
        return f"({yes} ? {a} : {b})", _ATOM
    sign, strength = _INFIX[what]
    if strength < 3:
        return f"!!({_held(on[0], strength)} {sign} {_held(on[1], strength + 1)})", _UNARY
    if sign == "**":
        return f"{_held(on[0], _ATOM)} ** {_held(on[1], _ATOM)}", strength
    # The author's order: what stands to the right keeps its parentheses.
    return f"{_held(on[0], strength)} {sign} {_held(on[1], strength + 1)}", strength


def _held(part: tuple[str, int], least: int) -> str:
    text, strength = part
    return text if strength >= least else f"({text})"
