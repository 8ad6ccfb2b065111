"""Which letter does what: the step size and the momentum of any rule, and other people's names for them.

Nothing is looked up by name. The rule is fed a few numbers in place of gradients; the step size is what
the answer scales with, a momentum is what decides how fast the rule forgets.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

__all__ = ["answer_for", "as_tuple", "momentum_letters", "step_letters"]

#: What others call a step size and a momentum, our own names among them: qhm calls them alpha and beta.
_STEP_SIZES: Final = ("eta", "alpha", "lr", "learning_rate", "step_size", "stepsize", "step")
_MOMENTA: Final = ("gamma", "beta", "momentum", "mu", "beta1", "beta_1", "b1", "mom")
_ELSEWHERE: Final = {
    "nesterov": "Nesterov's look-ahead is a rule of its own: nesterov, torch_nesterov or keras_nesterov",
    "maximize": "turn the sign of the gradient instead",
    "weight_decay": "torch_sgd and keras_sgd have one",
    "wd": "torch_sgd and keras_sgd call it weight_decay",
    "dampening": "torch_sgd has one",
}

Step = Callable[..., Iterable[Any]]
#: What stands for the gradients, and the steps it is read at; nothing special about the numbers.
_PULSES: Final = (1.0, -0.25, 0.5, 0.125)


def as_tuple(made: Any) -> tuple[Any, ...]:
    """What a step returned, as a tuple; nothing at all where it forgot to."""
    if made is None:
        return ()
    return tuple(made) if isinstance(made, tuple | list) else (made,)


def answer_for(name: str, letters: Iterable[str], steps: Iterable[str], momenta: Iterable[str]) -> str:
    """Say, for a letter that a rule does not have, which of its `letters` is meant.

    Examples
    --------
    >>> answer_for("lr", ("eta", "gamma"), ("eta",), ("gamma",))
    'here it is eta'
    """
    letters, steps, momenta = tuple(letters), tuple(steps), tuple(momenta)
    for names, ours in ((_STEP_SIZES, steps), (_MOMENTA, momenta)):
        if name in names and ours:
            return f"here it is {ours[0]}" if len(ours) == 1 else f"here {' and '.join(ours)} share its part"
    if name in _ELSEWHERE:
        return _ELSEWHERE[name]
    near = get_close_matches(name, letters, 1)
    return f"did you mean {near[0]}" if near else f"it takes {', '.join(letters) or 'none'}"


def step_letters(step: Step, points: Iterable[bool], letters: Mapping[str, Any]) -> tuple[str, ...]:
    """The fewest letters that, doubled together, double what the rule makes of any gradients.

    Parameters
    ----------
    step : callable
        The body of a rule.
    points : iterable of bool
        Which slots are points; see `Rule.at_rest`.
    letters : mapping of str to number
        Any generic values.
    """
    names = [name for name in letters if name != "t"]
    try:
        once = _responses(step, points, letters)
        for size in range(1, min(len(names), 4) + 1):  # all sets of many letters would take minutes
            for some in itertools.combinations(names, size):
                twice = _responses(step, points, {n: 2 * v if n in some else v for n, v in letters.items()})
                if any(once) and all(_close(b, 2 * a) for a, b in zip(once, twice, strict=True)):
                    return some
    except Exception:  # a step that takes no plain numbers has no letter we can tell
        return ()
    return ()


def momentum_letters(step: Step, points: Iterable[bool], letters: Mapping[str, Any]) -> tuple[str, ...]:
    """The letters that decide how fast a velocity dies when no gradient comes, and not whether theta rests.

    Parameters
    ----------
    step, points, letters
        As in `step_letters`.
    """
    found = []
    try:
        once = _forgetting(step, points, letters)
        for name in letters:
            if name == "t":
                continue
            other = _forgetting(step, points, {**letters, name: 0.875 * letters[name] + 0.0625})
            same = all(_close(a, b) for a, b in zip(once, other, strict=True))
            if not same and _close(sum(once), sum(other)):  # the sum is the polynomial at 1
                found.append(name)
    except Exception:
        return ()
    return tuple(found)


def _responses(step: Step, points: Iterable[bool], letters: Mapping[str, Any]) -> list[float]:
    """How far theta and the queries are moved from rest at zero by gradients that do not depend on them."""
    state: tuple[Any, ...] = tuple(0.0 for _ in points)
    seen: list[float] = []
    for count, pulse in enumerate(_PULSES):
        now = {**letters, "t": count + 3} if "t" in letters else letters

        def grad(x: Any, pulse: float = pulse) -> float:
            seen.append(float(x))
            return pulse

        state = as_tuple(step(*state, grad, **now))
        seen.append(float(state[0]))
    return seen


def _forgetting(step: Step, points: Iterable[bool], letters: Mapping[str, Any]) -> list[float]:
    """The characteristic polynomial at zero gradient, highest power first (Faddeev and Le Verrier)."""
    size = len(tuple(points))
    now = {**letters, "t": 3} if "t" in letters else letters
    zero = [float(x) for x in as_tuple(step(*[0.0] * size, lambda x: 0.0 * x, **now))]
    columns = []
    for i in range(size):
        unit = [float(i == j) for j in range(size)]
        made = as_tuple(step(*unit, lambda x: 0.0 * x, **now))
        columns.append([float(x) - z for x, z in zip(made, zero, strict=True)])
    matrix = [[columns[j][i] for j in range(size)] for i in range(size)]
    power, coefficients = [[0.0] * size for _ in range(size)], [1.0]
    for k in range(1, size + 1):
        for i in range(size):
            power[i][i] += coefficients[-1]
        power = [
            [sum(matrix[i][m] * power[m][j] for m in range(size)) for j in range(size)] for i in range(size)
        ]
        coefficients.append(-sum(power[i][i] for i in range(size)) / k)
    return coefficients


def _close(a: float, b: float) -> bool:
    return abs(a - b) <= 1e-9 * (abs(a) + abs(b)) + 1e-12
