"""Reading a linear rule off itself: run on unit vectors, it answers with its columns.

The functions without a public name here are shared by the other files of the room.
"""

from __future__ import annotations

import functools
import math
import reprlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from momentum_lib.clock import LATE, LIMIT, no_limit, numbers, standing
from momentum_lib.definition import NotLinear, Rule, RuleError

__all__ = ["Probe", "iteration_matrix", "probe"]

Array = np.ndarray[Any, Any]
Step = Callable[..., Any]


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

    def advance(self, state: Array, lam: Any, push: Any = 0.0) -> list[Any]:
        """One step on f' = lam theta + push, the state's slots along its first axis."""
        try:
            with np.errstate(all="ignore"):
                return list(self.rule.apply(self.step, state, lambda x: lam * x + push, self.letters))
        except RuleError:
            raise
        except Exception as error:
            raise NotLinear(
                f"{self.rule.name} cannot be probed on one eigen-direction ({type(error).__name__}: "
                f"{error}); a linear rule uses + - * / ** and grad only."
            ) from error

    def matrix(self, lam: Any) -> Array:
        """(..., n, n): what a step does to each unit vector."""
        return stack_columns([self.advance(unit, lam) for unit in np.eye(len(self.rule.slots))])


def read(rule: Rule, lam: Any = 0.0) -> tuple[Array, Reading]:
    """Curvature and rule as numbers, the rule found linear; see `standing` for a rule with t.

    Raises
    ------
    NotLinear, RuleError
        As `iteration_matrix`.
    """
    return _linear(Reading(rule, *standing(rule)), lam)


def _linear(reading: Reading, lam: Any) -> tuple[Array, Reading]:
    """What `read` makes of a rule's letters as they were set."""
    lam = np.asarray(as_number("lam", lam))
    if not np.isfinite(lam).all():
        raise RuleError(f"lam contains {lam[~np.isfinite(lam)].flat[0]}; give a finite curvature.")
    letters = {name: as_number(name, value) for name, value in reading.letters.items()}
    reading = reading._replace(letters=letters)
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
    reading = Reading(rule, *standing(rule))
    if is_symbolic(lam, *reading.letters.values()):
        return symbolic_matrix(reading, lam)
    lam, reading = _linear(reading, lam)
    return reading.matrix(lam)


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
    reading = Reading(rule, *standing(rule))
    letters, size = reading.letters, len(rule.slots)
    symbolic = is_symbolic(*letters.values())
    if symbolic:
        import sympy

        symbolic_matrix(reading, sympy.Symbol("lam"))  # refuses a rule that is not linear
        units = [[sympy.Integer(int(i == j)) for j in range(size)] for i in range(size)]
        one: Any = sympy.Integer(1)
    else:
        _, reading = _linear(reading, 1.0)
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
    if not reads:
        raise RuleError(f"{rule.name} never asks for the gradient; call grad(...) in its step.")
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


def as_number(name: str, value: Any) -> Any:
    """A letter as floating or complex numbers.

    Raises
    ------
    RuleError
        A symbol, a text, an object.
    """
    array = numbers(name, value)
    # [()] makes a 0-d array a NumPy scalar: float overflow then gives inf, not an exception.
    return array[()] if array.dtype.kind == "c" else array.astype(float)[()]


def refuse_nonlinear(reading: Reading, lam: Array) -> None:
    """Superposition at states of several sizes and both signs, in a few cells; and a limit where t → ∞."""
    rule = reading.rule
    try:
        shape = np.broadcast_shapes(lam.shape, reading.shape)
    except ValueError as error:
        raise RuleError(f"lam and the letters must broadcast; {error}.") from None
    count = math.prod(shape)
    cells = sorted({k * (count - 1) // 4 for k in range(5)}) if count else []

    def check(cells: Any, states: Iterable[Array]) -> None:
        """In a cell by its number or in a column of them, at a state or at a column of them for each slot."""

        def here(value: Any) -> Any:
            value = np.asarray(value)
            return np.broadcast_to(value, shape).flat[cells] if value.shape else value[()]

        one, lam1 = reading.part(here), here(lam)
        with np.errstate(all="ignore"):
            matrix = one.matrix(lam1).reshape(-1, *2 * [len(rule.slots)])
            bound = 1 + np.abs(matrix).sum(axis=(1, 2))
            for state in states:
                scale = np.multiply.outer(bound, np.abs(state).max(axis=0))
                allowed = 1e-9 * np.where(scale == 0, 1e-3, scale)
                expected = (matrix @ state).swapaxes(0, 1)
                for new, slot in zip(one.advance(state, lam1), expected, strict=True):
                    if (np.abs(new - slot) > allowed).any():
                        raise NotLinear(
                            f"{rule.name} is not linear in its state and gradient, so it has no iteration "
                            "matrix; run it with run()."
                        )
            if rule.counts and one.letters["t"] == LIMIT:
                late = one._replace(letters={**one.letters, "t": np.float64(LATE)}).matrix(lam1)
                gap = np.abs(late.reshape(matrix.shape) - matrix)
                if not (np.isfinite(matrix) & (gap <= 1e-6 * (1 + np.abs(matrix)))).all():
                    raise no_limit(rule.name)

    states = _states(len(rule.slots))
    try:
        check(np.array(cells, int)[:, None], [states])
    except (TypeError, ValueError):  # not linear, or not written for arrays: what counts is one by one
        for cell in cells:
            check(cell, states.T)


@functools.cache
def _states(size: int) -> Array:
    """States to try superposition at, in columns; read-only, since a rule may work in place."""
    drawn = np.random.default_rng(0).standard_normal(size)
    scales = np.array([1e-3, -1e-3, 1.0, -1.0, 1e3, -1e3])
    states = np.vstack([scales[:, None] * drawn, -np.eye(size), np.zeros(size)]).T
    states.setflags(write=False)
    return states


def stack_columns(columns: list[list[Any]]) -> Array:
    """(..., rows, columns) from a list of columns whose entries broadcast."""
    entries = [entry for column in columns for entry in column]
    shapes = {np.shape(entry) for entry in entries}
    if shapes == {()}:  # one cell, where the rest costs more than the rule itself
        return np.array([*zip(*columns, strict=True)])
    out = np.empty((*np.broadcast_shapes(*shapes), len(columns[0]), len(columns)), np.result_type(*entries))
    for j, column in enumerate(columns):
        for i, entry in enumerate(column):
            out[..., i, j] = entry
    return out


def symbolic_step(reading: Reading, state: Iterable[Any], grad: Callable[[Any], Any]) -> list[Any]:
    """One step on SymPy expressions, floats made rational, in the limit t → ∞ where t is infinite."""
    import sympy

    rule, letters = reading.rule, reading.letters
    limit = rule.counts and letters["t"] == LIMIT
    values = {name: exactly(name, value) for name, value in letters.items()}
    if limit:
        values["t"] = _endless()
    try:
        made = rule.apply(reading.step, state, grad, values)
        out = [as_fractions(sympy.expand(e)) for e in made]
    except RuleError:
        raise
    except Exception as error:
        generic = {n: 1 / (7 + k) if is_symbolic(v) else v for k, (n, v) in enumerate(letters.items())}
        refuse_nonlinear(reading._replace(letters=generic), np.asarray(0.7))
        raise RuleError(
            f"{rule.name} cannot compute with symbols ({type(error).__name__}: {error}); "
            "write it with + - * / ** and grad only, or set numbers."
        ) from error
    if any(e.has(*_not_finite()) for e in out):
        raise no_limit(rule.name) if limit else RuleError(f"{rule} divides by zero; set another value.")
    return [_limit(e, rule) for e in out] if limit else out


def exactly(name: str, value: Any) -> Any:
    """A number or an expression, its floats as the fractions they were written as: 0.9 is 9/10.

    Raises
    ------
    RuleError
        An array, a text (none is ever evaluated), nan or infinity.
    """
    import sympy

    try:
        found = sympy.sympify(value[()] if getattr(value, "shape", None) == () else value, strict=True)
    except (TypeError, ValueError):
        found = None
    if not isinstance(found, sympy.Expr) or found.has(*_not_finite()):
        raise RuleError(f"{name} is {reprlib.repr(value)}; beside symbols, give one number or expression.")
    return as_fractions(found)


def as_fractions(expression: Any) -> Any:
    """An expression with every float as the fraction it was written as."""
    import sympy

    def fraction(number: Any) -> Any:
        near = sympy.Rational(number).limit_denominator(10**9)
        return near if float(near) == float(number) else sympy.Rational(repr(float(number)))

    return expression.xreplace({number: fraction(number) for number in expression.atoms(sympy.Float)})


def _not_finite() -> tuple[Any, ...]:
    import sympy

    return sympy.oo, -sympy.oo, sympy.zoo, sympy.nan


@functools.cache
def _endless() -> Any:
    """The t that goes to infinity, told from any letter a reader calls t."""
    import sympy

    return sympy.Dummy("t", positive=True)


def _limit(expression: Any, rule: Rule) -> Any:
    """The limit t → ∞. A power with exponent t is what is left of the start: it must die out."""
    import sympy

    t = _endless()

    def dies(power: Any) -> Any:
        base = abs(power.base.subs(dict.fromkeys(power.base.free_symbols, sympy.Rational(1, 7))))
        end = sympy.limit(power.exp, t, sympy.oo)
        small = base < 1 if end == sympy.oo else base > 1  # (1/2)^t is kept as 2^(-t)
        if power.base.has(t) or abs(end) != sympy.oo or not small:
            raise no_limit(rule.name)
        return sympy.Integer(0)

    left = expression.replace(lambda p: p.is_Pow and p.exp.has(t), dies)
    try:
        found = sympy.limit(left, t, sympy.oo) if left.has(t) else left
    except NotImplementedError:
        raise no_limit(rule.name) from None
    if found.has(t, sympy.AccumBounds, *_not_finite()):
        raise no_limit(rule.name)
    return found


def symbolic_matrix(reading: Reading, lam: Any) -> Any:
    import sympy

    lam = exactly("lam", lam)
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
    """Largest modulus of the roots of z^2 - trace z + det; real arithmetic where they are real."""
    half = np.multiply(trace, 0.5)
    if np.iscomplexobj(half) or np.iscomplexobj(det):
        root = np.sqrt(half * half - det + 0j)
        return np.maximum(np.abs(half + root), np.abs(half - root))
    real = np.asarray(half * half - det)
    zero = np.zeros_like(real)  # np.maximum with a number is three times dearer
    np.sqrt(np.maximum(real, zero, out=real), out=real)
    np.add(real, np.abs(half), out=real)
    swinging = np.asarray(np.maximum(det, zero))
    return np.maximum(real, np.sqrt(swinging, out=swinging), out=real)
