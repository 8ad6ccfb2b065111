"""Reading a linear rule off itself: run on unit vectors, it answers with its columns.

The functions without a public name here are shared by the other files of the room.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from momentum_lib.clock import LIMIT, standing
from momentum_lib.definition import NotLinear, Rule, RuleError

__all__ = ["Probe", "iteration_matrix", "probe"]

Array = np.ndarray[Any, Any]
Step = Callable[..., Any]

#: Cells of a map computed at once: enough to fill the loops of NumPy, few enough for the cache.
CELLS = 16_384

#: Where what is read at `LIMIT` is compared: as good as infinite, and still told from its neighbors.
_LATE = 2.0**50


class Probe(NamedTuple):
    """A rule as a linear system from gradients to states: s' = A s + B g, query = C s + D g.

    A is (..., n, n), B (..., n, m), C (..., m, n), D (..., m, m) for n slots and m gradient reads a
    step; D is strictly lower triangular, since a read can only use the gradients before it.
    """

    A: Any
    B: Any
    C: Any
    D: Any


class Reading(NamedTuple):
    """A rule as an analysis reads it: the step it makes, and every letter as a value."""

    rule: Rule
    step: Step
    letters: Mapping[str, Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """The common shape of the letters."""
        return np.broadcast_shapes(*(np.shape(v) for v in self.letters.values()))

    def part(self, choose: Callable[[Any], Any]) -> Reading:
        """The same reading with every letter chosen from."""
        return self._replace(letters={name: choose(value) for name, value in self.letters.items()})

    def advance(self, state: Iterable[Any], lam: Any, push: Any = 0.0) -> list[Any]:
        """One step on f' = lam theta + push."""
        try:
            with np.errstate(all="ignore"):
                state = [np.float64(s) if np.ndim(s) == 0 and not is_symbolic(s) else s for s in state]
                return list(self.rule.apply(self.step, state, lambda x: lam * x + push, self.letters))
        except RuleError:
            raise
        except Exception as error:
            raise NotLinear(
                f"{self.rule.name} cannot be probed on one eigen-direction ({type(error).__name__}: {error}); "
                "a linear rule uses + - * / ** and grad only."
            ) from error


def read(rule: Rule, lam: Any = 0.0) -> tuple[Array, Reading]:
    """Curvature and rule as numbers, the rule found linear; see `standing` for a rule with t.

    Raises
    ------
    NotLinear, RuleError
        As `iteration_matrix`.
    """
    reading = Reading(rule, *standing(rule))
    lam, reading = _as_numbers(lam, reading)
    refuse_nonlinear(reading, lam)
    return lam, reading


def iteration_matrix(rule: Rule, lam: Any) -> Any:
    """The matrix that takes the state of one eigen-direction to the next: s_t = M s_{t-1}.

    Parameters
    ----------
    rule : Rule
        Any linear rule, every letter set. One that counts its steps, or has a schedule or a first step
        of its own, is read at the ``t`` it is frozen at, ``rule.at(t=1)``; without one a rule that counts
        is read as t → ∞.
    lam : number, array or SymPy expression
        Curvature; broadcasts with the letters.

    Returns
    -------
    (..., n, n) array over the n slots in their order; a SymPy matrix if any input is symbolic.

    Raises
    ------
    NotLinear
        The rule fails superposition at states of several sizes and signs.
    RuleError
        An open letter, a schedule at no step, a rule with no limit as t → ∞.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> iteration_matrix(heavy_ball.at(eta=0.25, gamma=0.5), 2.0)
    array([[ 0.5, -0.5],
           [ 0.5,  0.5]])
    """
    step, letters = standing(rule)
    if is_symbolic(lam, *letters.values()):
        return symbolic_matrix(Reading(rule, step, letters), lam)
    lam, reading = read(rule, lam)
    return stack_columns([reading.advance(unit, lam) for unit in np.eye(len(rule.slots))])


def probe(rule: Rule) -> Probe:
    """Read a rule off as the linear system (A, B, C, D) between gradients, state and queries.

    Parameters
    ----------
    rule : Rule
        As in `iteration_matrix`; its letters are numbers, arrays that broadcast, or SymPy expressions.

    Returns
    -------
    Probe
        NumPy arrays, or SymPy matrices if any letter is symbolic.

    Raises
    ------
    NotLinear, RuleError
        As `iteration_matrix`.

    Examples
    --------
    >>> from momentum_lib import nesterov
    >>> probe(nesterov.at(eta=0.5, gamma=0.25)).C    # the gradient is read at theta - gamma v
    array([[ 1.  , -0.25]])
    """
    step, letters = standing(rule)
    symbolic = is_symbolic(*letters.values())
    size = len(rule.slots)
    if symbolic:
        import sympy

        reading = Reading(rule, step, letters)
        symbolic_matrix(reading, sympy.Symbol("lam"))  # refuses a rule that is not linear
        units = [[sympy.Integer(int(i == j)) for j in range(size)] for i in range(size)]
        one: Any = sympy.Integer(1)
    else:
        _, reading = read(rule, 1.0)
        units, one = list(np.eye(size)), 1.0

    def answer(state: Any, pulse: int | None) -> tuple[list[Any], list[Any]]:
        """New state and queries, the gradient being 1 at read number `pulse` and 0 at the others."""
        queries: list[Any] = []

        def grad(x: Any) -> Any:
            queries.append(x)
            return one * (1 if len(queries) - 1 == pulse else 0) + 0 * x

        if symbolic:
            return symbolic_step(reading, state, grad), queries
        with np.errstate(all="ignore"):
            return list(rule.apply(reading.step, state, grad, reading.letters)), queries

    zero = [0 * u for u in units[0]]
    reads = len(answer(zero, None)[1])
    free = [answer(u, None) for u in units]
    driven = [answer(zero, j) for j in range(reads)]
    if symbolic:
        import sympy

        exact = rule.counts and letters["t"] == LIMIT
        tidy = (lambda e: _limit(sympy.sympify(e), rule)) if exact else sympy.sympify
        return Probe(
            sympy.Matrix(size, size, lambda i, j: sympy.cancel(free[j][0][i])),
            sympy.Matrix(size, reads, lambda i, j: sympy.cancel(driven[j][0][i])),
            sympy.Matrix(reads, size, lambda i, j: sympy.cancel(tidy(free[j][1][i]))),
            sympy.Matrix(reads, reads, lambda i, j: sympy.cancel(tidy(driven[j][1][i]))),
        )
    return Probe(
        stack_columns([f[0] for f in free]),
        stack_columns([d[0] for d in driven]),
        stack_columns([f[1] for f in free]),
        stack_columns([d[1] for d in driven]),
    )


def is_symbolic(*values: Any) -> bool:
    return any(hasattr(value, "free_symbols") for value in values)


def _as_numbers(lam: Any, reading: Reading) -> tuple[Array, Reading]:
    def number(value: Any) -> Any:
        array = np.asarray(value)
        # [()] makes a 0-d array a NumPy scalar: float overflow then gives inf, not an exception.
        return array[()] if array.dtype.kind == "c" else array.astype(float)[()]

    try:
        lam = np.asarray(number(lam))
        reading = reading.part(number)
        np.broadcast_shapes(lam.shape, reading.shape)
    except (TypeError, ValueError) as error:
        raise RuleError(f"lam and the letters must be numbers that broadcast; {error}.") from None
    if np.isnan(lam).any():
        raise RuleError("lam contains nan; give a finite curvature.")
    return lam, reading


def refuse_nonlinear(reading: Reading, lam: Array) -> None:
    """Superposition at states of several sizes and both signs, in a few cells; and a limit where t → ∞."""
    rule = reading.rule
    shape = np.broadcast_shapes(lam.shape, reading.shape)
    count = math.prod(shape)
    size = len(rule.slots)
    random = np.random.default_rng(0)
    states = [scale * sign * random.standard_normal(size) for scale in (1e-3, 1.0, 1e3) for sign in (1, -1)]
    for cell in {k * (count - 1) // 4 for k in range(5)} if count else ():
        at = np.unravel_index(cell, shape)
        one = reading.part(lambda value, at=at: np.broadcast_to(value, shape)[at])
        lam1 = np.broadcast_to(lam, shape)[at]
        matrix = np.stack([np.asarray(one.advance(unit, lam1)) for unit in np.eye(size)], axis=-1)
        with np.errstate(all="ignore"):
            for state in (*states, *-np.eye(size), np.zeros(size)):
                gap = np.abs(np.asarray(one.advance(state, lam1)) - matrix @ state)
                if (gap > 1e-9 * (np.abs(state).max() * (1 + np.abs(matrix).sum()) or 1e-3)).any():
                    raise NotLinear(
                        f"{rule.name} is not linear in its state and gradient, so it has no iteration matrix; "
                        "run it with run()."
                    )
            if rule.counts and one.letters["t"] == LIMIT:
                late = one._replace(letters={**one.letters, "t": np.float64(_LATE)})
                other = np.stack([np.asarray(late.advance(unit, lam1)) for unit in np.eye(size)], axis=-1)
                settled = np.abs(other - matrix) <= 1e-6 * (1 + np.abs(matrix))
                if not (settled | (np.isnan(other) & np.isnan(matrix))).all() or np.isnan(matrix).all():
                    raise RuleError(f"{rule.name} has no limit as t → ∞; read it at a step, .at(t=...).")


def stack_columns(columns: list[list[Any]]) -> Array:
    """(..., rows, columns) from a list of columns whose entries broadcast."""
    entries = np.broadcast_arrays(*itertools.chain.from_iterable(columns))
    array = np.stack(entries, axis=-1).reshape(*entries[0].shape, len(columns), -1)
    return np.ascontiguousarray(np.swapaxes(array, -1, -2))


def symbolic_step(reading: Reading, state: Iterable[Any], grad: Callable[[Any], Any]) -> list[Any]:
    """One step on SymPy expressions, floats made rational, in the limit t → ∞ where t is infinite."""
    import sympy

    rule, letters = reading.rule, reading.letters
    limit = rule.counts and not is_symbolic(letters["t"]) and letters["t"] == LIMIT
    exact = {name: sympy.nsimplify(value, rational=True) for name, value in letters.items()}
    if limit:
        exact["t"] = sympy.Symbol("t", positive=True)
    made = rule.apply(reading.step, state, grad, exact)
    out = [sympy.nsimplify(sympy.expand(e), rational=True) for e in made]
    return [_limit(e, rule) for e in out] if limit else out


def _limit(expression: Any, rule: Rule) -> Any:
    """The limit t → ∞. A power with exponent t is what is left of the start: it must die out."""
    import sympy

    t = sympy.Symbol("t", positive=True)

    def dies(power: Any) -> Any:
        base = abs(power.base.subs(dict.fromkeys(power.base.free_symbols, sympy.Rational(1, 7))))
        if sympy.limit(power.exp, t, sympy.oo) != sympy.oo or base >= 1:
            raise RuleError(f"{rule.name} has no limit as t → ∞; read it at a step, .at(t=...).")
        return sympy.Integer(0)

    left = expression.replace(lambda p: p.is_Pow and p.exp.has(t), dies)
    found = sympy.limit(left, t, sympy.oo) if left.has(t) else left
    if found.has(sympy.oo, -sympy.oo, sympy.zoo, sympy.nan):
        raise RuleError(f"{rule.name} has no limit as t → ∞; read it at a step, .at(t=...).")
    return found


def symbolic_matrix(reading: Reading, lam: Any) -> Any:
    import sympy

    lam = sympy.nsimplify(lam, rational=True)
    state = sympy.symbols(f"s0:{len(reading.rule.slots)}")
    out = symbolic_step(reading, state, lambda x: lam * x)
    matrix = sympy.Matrix([[sympy.diff(e, s) for s in state] for e in out])
    residual = sympy.Matrix(out) - matrix * sympy.Matrix(state)
    if matrix.has(*state) or any(r != 0 and sympy.simplify(r) != 0 for r in residual.expand()):
        raise NotLinear(
            f"{reading.rule.name} is not linear in its state and gradient, so it has no iteration matrix; "
            "run it with run()."
        )
    return matrix.applyfunc(sympy.factor_terms)


def trace_det(columns: list[list[Any]]) -> tuple[Any, Any]:
    """Trace and determinant of a 1 x 1 (bordered by a zero) or 2 x 2 matrix given by columns."""
    if len(columns) == 1:
        return columns[0][0], 0.0
    (a, c), (b, d) = columns
    return a + d, a * d - b * c


def radius_of_quadratic(trace: Any, det: Any) -> Any:
    """Largest modulus of the roots of z^2 - trace z + det, real arithmetic only."""
    half = np.multiply(trace, 0.5)
    real = np.asarray(half * half - det)
    zero = np.zeros_like(real)  # np.maximum with a number is three times dearer
    np.sqrt(np.maximum(real, zero, out=real), out=real)
    np.add(real, np.abs(half), out=real)
    swinging = np.asarray(np.maximum(det, zero))
    return np.maximum(real, np.sqrt(swinging, out=swinging), out=real)
