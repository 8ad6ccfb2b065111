"""What a rule is.

A variant of momentum is written once, as the three lines its paper prints. This module turns those
lines into a `Rule`: an object that knows its slots, its letters (hyper-parameters) and its state at
rest. ``rule.at(eta=1, gamma=0.9)`` is the rule at a setting, the same kind of object, and that is what
every analysis, run and adapter of the library takes. It imports the standard library only.
"""

from __future__ import annotations

import html
import inspect
import itertools
import math
import re
import reprlib
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from numbers import Integral, Number
from types import MappingProxyType
from typing import Any, Final

from momentum_lib.letters import answer_for, as_tuple, momentum_letters, step_letters

__all__ = ["RULES", "NotLinear", "Promise", "Rule", "RuleError", "brief", "decays", "is_schedule", "rule"]

Step = Callable[..., Any]

#: Every rule by name. A name belongs to the module that took it first, so a student's own
#: ``heavy_ball`` lives beside the shipped one and never replaces it.
RULES: Final[dict[str, Rule]] = {}

#: The fields of a rule's card, in order; see `Rule.card`.
CARD_FIELDS: Final = ("Gradient read at", "Reports", "Units", "Start", "Not to be confused with", "Source")


_BRIEF: Final = reprlib.Repr()
_BRIEF.maxother = _BRIEF.maxstring = 80


class RuleError(TypeError, ValueError):
    """A rule was written or called wrongly; the message names what and the remedy."""


class NotLinear(RuleError):  # noqa: N818 - the contract's name: the verdict is the name
    """A rule that is not linear in state and gradient was handed to the spectral floor."""


@dataclass(frozen=True)
class Promise:
    """What is known of a rule at one setting.

    Attributes
    ----------
    rate : float
        Factor per step of what `bounds` names.
    theorem : str
        Source with theorem number, or how the number was found.
    kind : str
        ``"tight"``: the bound holds at every step and is attained; ``"upper"``: it holds at every step;
        ``"lower"``: no step is below it; ``"asymptotic"``: the rate in the limit of many steps.
    which : str
        Name of the tuning; a rule may have several.
    bounds : str
        The quantity, and the class of functions.
    """

    rate: float
    theorem: str
    kind: str
    which: str = ""
    bounds: str = ""


class Rule:
    """One variant of momentum: a pure step from slots and gradient oracle to the new slots.

    Parameters
    ----------
    step : callable
        ``step(*slots, grad, *, letters...)`` returning the new slots in order. `grad` is a function.
        Arithmetic only: ``+ - * / **``, calls of `grad`, a tuple.
    slots : iterable of str, optional
        Names of the state slots; the first is reported. Read off the signature unless given.
    hyper : mapping of str to default, or iterable of str, optional
        Letters; those of an iterable have no default. Read off the signature unless given.
    name : str, optional
        Defaults to ``step.__name__``.
    text : str, optional
        How the rule prints. Defaults to the call in `made_by`, else to `name`.
    made_by : tuple of callable and arguments, optional
        The call that makes this member of a family again, in another process for instance.

    Attributes
    ----------
    hyper : tuple of str
        All letters, ``t`` among them if the rule counts its steps.
    setting : mapping
        The letters that are set, defaults included.
    free : tuple of str
        The letters that are open; never ``t``.
    base : Rule
        The rule before anything was set.
    promise : Promise or None
        What `tune`, `minimax` or `convert` knows of this setting.

    Raises
    ------
    RuleError
        `grad` is not the last positional argument, there is no slot, a letter is not keyword-only, or its
        default is no number.

    Examples
    --------
    >>> @rule
    ... def my_heavy_ball(theta, v, grad, *, eta, gamma):
    ...     v = gamma * v + eta * grad(theta)
    ...     return theta - v, v
    >>> my_heavy_ball.slots, my_heavy_ball.hyper
    (('theta', 'v'), ('eta', 'gamma'))
    >>> half = my_heavy_ball.at(gamma=0.5)
    >>> half, half.free, half.at(eta=0.25)
    (my_heavy_ball(gamma=0.5), ('eta',), my_heavy_ball(eta=0.25, gamma=0.5))
    >>> half(1.0, 0.0, lambda x: 2 * x, eta=0.25)
    (0.5, 0.5)
    """

    def __init__(
        self,
        step: Step,
        *,
        slots: Iterable[str] | None = None,
        hyper: Mapping[str, Any] | Iterable[str] | None = None,
        name: str | None = None,
        text: str | None = None,
        made_by: tuple[Callable[..., Rule], tuple[Any, ...]] | None = None,
    ) -> None:
        if isinstance(step, Rule) or not callable(step):
            raise RuleError(f"{brief(step)} is no step; write def my_rule(theta, ..., grad, *, eta, ...).")
        self.step = step
        self.name = self.__name__ = str(name or getattr(step, "__name__", type(step).__name__))
        called = made_by and f"{made_by[0].__name__}({', '.join(map(repr, made_by[1]))})"
        self.text = text or called or self.name
        self.made_by = made_by
        self.__doc__ = step.__doc__
        self.__module__ = step.__module__
        if slots is None or hyper is None:
            read_slots, read_defaults, required = _read_signature(self.name, step)
        self.slots = tuple(read_slots if slots is None else slots)
        if hyper is None:
            # The order of the signature, which is the order of the paper.
            letters = {*required, *read_defaults}
            self.hyper = tuple(n for n in inspect.signature(step).parameters if n in letters)
        else:
            self.hyper, read_defaults = tuple(hyper), dict(hyper) if isinstance(hyper, Mapping) else {}
        # The step count is never set by a default: a run counts.
        self.defaults = {n: self.checked(n, v) for n, v in read_defaults.items() if n != "t"}
        if not self.slots:
            raise RuleError(f"{self.name} has no state slot; the first argument is theta, grad comes last.")
        self.first_step: Step = step
        self.base = self
        self.promise: Promise | None = None
        self._set: dict[str, Any] = {}

    def first(self, step: Step) -> Step:
        """Give the rule a first step of its own (decorator); the steady body stays what is analysed.

        Raises
        ------
        RuleError
            The signature differs from the body's.
        """
        slots, defaults, required = _read_signature(f"{self.name}.first", step)
        if (slots, {*defaults, *required}) != (self.slots, set(self.hyper)):
            raise RuleError(
                f"the first step of {self.name} takes {(*slots, *defaults, *required)}; "
                f"give it the body's arguments {(*self.slots, *self.hyper)}."
            )
        self.first_step = step
        return step

    # --- the rule at a setting -----------------------------------------------------------------------

    def at(self, /, **letters: Any) -> Rule:
        """The rule with these letters set: partly or wholly, once or again.

        A value is a number, an array or list (a whole grid), a schedule (a function of t), a symbol, or
        what another framework passes in its place; what cannot be read is not checked. A later value
        replaces an earlier one, and what was known of the earlier setting is dropped.

        Parameters
        ----------
        **letters
            Any of `hyper`. ``t`` freezes the rule as it is at that step, first step and schedules
            included, for analysis; a run counts itself.

        Raises
        ------
        RuleError
            A letter that is not there, two spellings of one letter, a text, nan or infinity.

        Examples
        --------
        >>> from momentum_lib import heavy_ball
        >>> heavy_ball.at(gamma=0.9).at(eta=1.0) == heavy_ball.at(eta=1, gamma=0.9)
        True
        """
        for name in letters:
            if name not in self.hyper and name != "t":
                raise self._no_letter(name, letters)
        made = self.base._copy()
        made._set = {**self._set, **{name: self.checked(name, value) for name, value in letters.items()}}
        if not letters:
            made.promise = self.promise
        return made

    def promising(self, promise: Promise | None) -> Rule:
        """The same rule at the same setting, with what is known of it."""
        made = self.at()
        made.promise = promise
        return made

    @property
    def setting(self) -> Mapping[str, Any]:
        """The letters that are set, in the order of the paper, defaults included."""
        letters = {**self.defaults, **self._set}
        order = (*self.hyper, "t") if "t" not in self.hyper else self.hyper
        return MappingProxyType({name: letters[name] for name in order if name in letters})

    @property
    def free(self) -> tuple[str, ...]:
        """The letters that are open."""
        return tuple(n for n in self.hyper if n != "t" and n not in self._set and n not in self.defaults)

    @property
    def schedules(self) -> dict[str, Callable[[Any], Any]]:
        """The letters that are set to functions of t."""
        return {name: value for name, value in self.setting.items() if is_schedule(value)}

    @property
    def counts(self) -> bool:
        """Whether the rule itself needs the step count t."""
        return "t" in self.hyper

    def closed(self) -> Rule:
        """The rule itself, if every letter is set.

        Raises
        ------
        RuleError
            A letter is open; names it and the remedy.
        """
        if self.free:
            values = ", ".join(f"{name}=..." for name in self.free)
            raise RuleError(f"{self} leaves {' and '.join(self.free)} open; set it with .at({values}).")
        return self

    def in_unit_steps(self) -> Rule:
        """The rule closed, with its step size, if that alone is open, counted as 1.

        Raises
        ------
        RuleError
            Another letter is open, or the rule has several step sizes or none to count by.
        """
        if not self.free:
            return self
        if len(self.step_letters) == 1:
            return self.at(**dict.fromkeys(set(self.step_letters) & set(self.free), 1.0)).closed()
        several = f"has the step sizes {' and '.join(self.step_letters)}" if self.step_letters else "has none"
        raise RuleError(
            f"{self} leaves {', '.join(self.free)} open, and no one step size can count as 1 "
            f"({self.name} {several}); set every letter with .at()."
        )

    @cached_property
    def step_letters(self) -> tuple[str, ...]:
        """The step size: the letter that scales with the gradient, computed; several for some rules."""
        if self is not self.base:
            return self.base.step_letters
        return step_letters(self.step, self.at_rest, self._generic)

    @cached_property
    def momentum_letters(self) -> tuple[str, ...]:
        """The momentum: the letter that decides how fast the rule forgets, computed; several for some."""
        if self is not self.base:
            return self.base.momentum_letters
        return momentum_letters(self.step, self.at_rest, self._generic)

    @property
    def _generic(self) -> dict[str, Any]:
        # No accidental cancellation, and small enough that decay moves little.
        generic = {n: 1 / (7 + 4 * i) for i, n in enumerate(self.hyper)}
        usual = {n: v for n, v in self.defaults.items() if isinstance(v, Number)}
        return {**generic, **usual} | ({"t": 2} if self.counts else {})

    @property
    def rate(self) -> float | None:
        """`Promise.rate`; None where nothing is known of this setting."""
        return None if self.promise is None else self.promise.rate

    @property
    def theorem(self) -> str | None:
        """`Promise.theorem`; None where nothing is known of this setting."""
        return None if self.promise is None else self.promise.theorem

    @property
    def kind(self) -> str | None:
        """`Promise.kind`; None where nothing is known of this setting."""
        return None if self.promise is None else self.promise.kind

    def _copy(self) -> Rule:
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made

    def _no_letter(self, name: str, given: Iterable[str]) -> RuleError:
        hint = answer_for(name, [n for n in self.hyper if n != "t"], self.step_letters, self.momentum_letters)
        both = next((n for n in given if hint == f"here it is {n}"), None)
        if both:
            return RuleError(
                f"{self.name} got {name} and {both}, two names of one letter; give {both} alone."
            )
        return RuleError(f"{self.name} has no hyper-parameter {name!r}; {hint}.")

    def checked(self, name: str, value: Any) -> Any:
        """A value that a letter may have, arrays copied and closed, lists as tuples.

        Raises
        ------
        RuleError
            A text, what computes with nothing, nan or infinity.
        """
        if isinstance(value, list | tuple):
            parts = tuple(self.checked(name, part) for part in value)
            if len({_shape(part) for part in parts}) > 1:
                raise RuleError(
                    f"{self.name} got {name}={brief(value)}, rows of several lengths; give an array."
                )
            value = parts
        kind = getattr(getattr(value, "dtype", None), "kind", "f")
        computes = hasattr(type(value), "__mul__") and kind not in "USmM"
        text = isinstance(value, str | bytes)
        if text or isinstance(value, Rule | type) or not (computes or is_schedule(value)):
            raise RuleError(
                f"{self.name} got {name}={brief(value)}, {'a text' if text else 'no number'}; "
                "give a number, an array, a schedule or a symbol."
            )
        if kind == "O":
            for part in value.flat:
                self.checked(name, part)
        if type(value).__module__ == "numpy" and not is_schedule(value):
            value = value.copy()[()]  # nobody else's, and a scalar where it has no axis
            if value.shape:
                value.setflags(write=False)
        if name == "t":
            return self._checked_step(value)
        try:
            finite = _is_finite(value)
        except Exception:  # a tracer, a symbol: what cannot be read is not checked
            finite = True
        if not finite:
            what = f"={value}" if isinstance(value, Number) else " with nan or infinity in it"
            raise RuleError(f"{self.name} got {name}{what}; give finite numbers.")
        return value

    def _checked_step(self, t: Any) -> Any:
        number, whole = isinstance(t, Number), isinstance(t, Integral) and not isinstance(t, bool)
        if number and t == math.inf:
            return math.inf
        unread = not number and not is_schedule(t) and not _shape(t)  # a symbol, a tracer
        if not (whole and t >= 1 or unread):
            raise RuleError(
                f"{self.name} got t={brief(t)}; give the step it is at, a whole number from 1 on."
            )
        return t

    # --- a step --------------------------------------------------------------------------------------

    @property
    def has_first_step(self) -> bool:
        """Whether step 1 differs from the body."""
        return self.first_step is not self.step

    def __call__(self, /, *args: Any, **letters: Any) -> tuple[Any, ...]:
        """One step: ``rule(*slots, grad, **letters)`` gives the new slots, always as a tuple.

        The body, or the step at the `t` that is set or given.

        Raises
        ------
        RuleError
            Wrong number of slots in or out, an unknown, open or non-finite letter.
        """
        if len(args) != len(self.slots) + 1 or not callable(args[-1]):
            raise RuleError(
                f"{self.name} is called as {self.name}({', '.join(self.slots)}, grad, ...) "
                f"with a gradient function last; got {len(args)} positional arguments."
            )
        bound = (self.at(**letters) if letters else self).closed()
        setting = dict(bound.setting)
        t = setting.get("t") if self.counts else setting.pop("t", None)
        if t is None and (self.counts or bound.schedules):
            raise RuleError(f"{self} changes from step to step; call it with t=..., 1 on the first step.")
        step = self.first_step if self.has_first_step and t is not None and t == 1 else self.step
        now = {n: self.checked(n, v(t)) if is_schedule(v) else v for n, v in setting.items()}
        for name, value in now.items():
            if isinstance(value, tuple):
                raise RuleError(f"{self.name} got {name}={value}; one step computes with np.array({value}).")
        return self.apply(step, args[:-1], args[-1], now)

    def apply(
        self, step: Step, state: Iterable[Any], grad: Callable[[Any], Any], letters: Mapping[str, Any]
    ) -> tuple[Any, ...]:
        """Apply the body or the first step to a state, every letter given as a value."""
        out = as_tuple(step(*state, grad, **letters))
        if len(out) != len(self.slots):
            raise RuleError(
                f"{self.name} returned {len(out)} values for its {len(self.slots)} slots "
                f"{self.slots}; return every slot, in order."
            )
        return out

    def init(self, theta: Any) -> tuple[Any, ...]:
        """The state at rest at `theta`: points stand at theta, velocities at ``0 * theta``."""
        return tuple(theta if point else 0 * theta for point in self.at_rest)

    @cached_property
    def at_rest(self) -> tuple[bool, ...]:
        """Which slots stand at theta (a point) and which at zero (a velocity) when nothing moves.

        Computed, not declared: at rest a zero gradient leaves every slot where it is, and one
        choice of points and velocities does that. A rule that shrinks theta by itself has no exact
        rest; the choice that moves least is taken.
        """
        if self is not self.base:
            return self.base.at_rest
        best, least = (True,) + (False,) * (len(self.slots) - 1), math.inf
        for count, rest in enumerate(itertools.product((False, True), repeat=len(self.slots) - 1)):
            if least <= 1e-12:  # nothing rests better
                break
            if count == 2**15:  # seconds; all the choices of many slots would take hours
                raise RuleError(
                    f"{self.name} has {len(self.slots)} slots, too many to tell which are points."
                )
            points = (True, *rest)
            state = [1.0 if p else 0.0 for p in points]
            try:
                out = self.apply(self.step, state, lambda x: 0 * x, self._generic)
                moved = float(max(abs(a - b) for a, b in zip(out, state, strict=True)))
            except RuleError:
                raise
            except Exception:  # a rule with symbols inside, or one that reads arrays only
                continue
            if moved < least - 1e-12:
                best, least = points, moved
        return best

    # --- what it is, in words ------------------------------------------------------------------------

    @cached_property
    def card(self) -> dict[str, str]:
        """The docstring's fields: display, gradient, report, units, start, look-alikes, source."""
        text = inspect.cleandoc(self.__doc__ or "")
        names = "|".join(CARD_FIELDS)
        parts = re.split(rf"^({names}):", text, flags=re.MULTILINE)
        summary, *display = parts[0].strip().split("\n\n")
        fields = {"Summary": " ".join(summary.split()), "Display": inspect.cleandoc("\n".join(display))}
        return fields | {k: " ".join(v.split()) for k, v in zip(parts[1::2], parts[2::2], strict=True)}

    @property
    def __signature__(self) -> inspect.Signature:
        kind = inspect.Parameter
        places = [kind(name, kind.POSITIONAL_ONLY) for name in (*self.slots, "grad")]
        letters = self.setting
        given = [kind(n, kind.KEYWORD_ONLY, default=letters.get(n, kind.empty)) for n in self.hyper]
        return inspect.Signature([*places, *given])

    def _repr_html_(self) -> str:
        """The card in a notebook; the lines themselves where there is no card."""
        display = self.card["Display"]
        if not display:
            try:
                display = inspect.cleandoc(inspect.getsource(self.step))
            except (OSError, TypeError):
                display = str(self.__signature__)
        return f"<b>{html.escape(repr(self))}</b><pre>{html.escape(display)}</pre>"

    def __repr__(self) -> str:
        given = {n: v for n, v in self.setting.items() if n in self._set}
        values = ", ".join(f"{name}={_shown(value)}" for name, value in given.items())
        return f"{self.text}({values})" if values else self.text

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rule):
            return NotImplemented
        mine, theirs = self.setting, other.setting
        return (
            self._origin == other._origin
            and mine.keys() == theirs.keys()
            and all(_same(mine[name], theirs[name]) for name in mine)
        )

    def __hash__(self) -> int:
        return hash((self._origin, *self.setting.items()))

    @property
    def _origin(self) -> Any:
        # Two members of a family that were made alike are one rule, in another process too.
        return self.base.made_by or id(self.base)

    def __reduce__(self) -> Any:
        """Travel to another process by name: a decorated step is not found under its own."""
        if self is not self.base:
            return _at_setting, (self.base, self._set, self.promise)
        if getattr(sys.modules.get(self.__module__), self.name, None) is self:
            return self.name
        return self.made_by or super().__reduce__()


def _at_setting(base: Rule, letters: dict[str, Any], promise: Promise | None) -> Rule:
    return base.at(**letters).promising(promise)


def is_schedule(value: Any) -> bool:
    """Whether a value is a function of t; a symbol, which Python can call too, is not.

    Examples
    --------
    >>> is_schedule(lambda t: 1 / t), is_schedule(0.9)
    (True, False)
    """
    return callable(value) and not hasattr(value, "free_symbols")


def _is_finite(value: Any) -> bool:
    known = getattr(value, "is_finite", None)
    if callable(known) or getattr(value, "is_number", False):  # Decimal's and SymPy's nan and infinities
        return bool(known() if callable(known) else known)
    within = abs(value) < math.inf
    return bool(within.all()) if hasattr(within, "all") else bool(within)


def _shown(value: Any) -> str:
    if getattr(value, "shape", ()):
        return f"array of shape {tuple(value.shape)}"
    if isinstance(value, tuple):
        return f"({', '.join(map(_shown, value))}{',' * (len(value) == 1)})"
    if isinstance(value, Fraction):
        return repr(value)  # Python 3.11 cannot round it
    try:
        return str(value) if hasattr(value, "free_symbols") else f"{value:.6g}"
    except (TypeError, ValueError, OverflowError):
        return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))  # a function prints alike in every run


def _shape(value: Any) -> tuple[int, ...]:
    if isinstance(value, tuple):
        return (len(value), *(_shape(value[0]) if value else ()))
    return tuple(getattr(value, "shape", ()))


def brief(value: Any) -> str:
    """A value in a few words, on one line, whatever its size."""
    return " ".join(_BRIEF.repr(value).split())


def _same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if _shape(a) != _shape(b):
        return False
    if isinstance(a, tuple) and isinstance(b, tuple):
        return all(map(_same, a, b))
    try:
        equal = a == b
    except ValueError:  # schedules with arrays inside
        return False
    return bool(equal.all()) if hasattr(equal, "all") else bool(equal)


def rule(step: Step) -> Rule:
    """Turn a step function into a `Rule` and enter it in `RULES` (decorator).

    The signature is the declaration: slots first, then the oracle `grad`, then hyper-parameters,
    keyword-only.

    Raises
    ------
    RuleError
        See `Rule`.
    """
    made = Rule(step)
    taken = RULES.get(made.name)
    if taken is None or taken.__module__ == made.__module__:
        RULES[made.name] = made
    return made


def decays(family: str, values: Iterable[Any]) -> tuple[Any, ...]:
    """The decay rates of a family's members, at least one, each in [0, 1); symbols pass.

    Raises
    ------
    RuleError
        No rate at all, one outside [0, 1), or something that is no number.

    Examples
    --------
    >>> decays("aggregated", [0, 0.9])
    (0, 0.9)
    """
    try:
        rates = tuple(float(v) if isinstance(v, float) else v for v in values)
    except (TypeError, OverflowError):
        raise RuleError(
            f"{family} takes several rates, got {brief(values)}; write {family}((0, 0.9))."
        ) from None
    if not rates:
        raise RuleError(f"{family} needs at least one rate; write {family}((0, 0.9)).")
    for rate in rates:
        if getattr(rate, "free_symbols", None):
            continue
        try:
            inside = bool(0 <= rate < 1)
        except (TypeError, ValueError):
            raise RuleError(
                f"{family} got {brief(rate)}, which is not a number; give rates in [0, 1)."
            ) from None
        if not inside:
            raise RuleError(f"{family} got {brief(rate)}; every rate must lie in [0, 1).")
    return rates


def _read_signature(name: str, step: Step) -> tuple[tuple[str, ...], dict[str, Any], tuple[str, ...]]:
    """Slots, defaults and required hyper-parameters, as the signature declares them."""
    parameters = inspect.signature(step).parameters.values()
    positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    keyword = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
        raise RuleError(f"{name} takes *args or **kwargs; name its slots and hyper-parameters.")
    if "grad" not in positional:
        raise RuleError(f"{name} has no gradient; write it as {name}(theta, ..., grad, *, eta, ...).")
    if positional[-1] != "grad":
        late = positional[positional.index("grad") + 1]
        raise RuleError(
            f"{name} has {late!r} after grad; grad comes last, hyper-parameters after a bare * "
            f"(def {name}(theta, ..., grad, *, eta))."
        )
    defaults = {p.name: p.default for p in keyword if p.default is not p.empty}
    return tuple(positional[:-1]), defaults, tuple(p.name for p in keyword if p.default is p.empty)
