"""Formulas about a rule, read off the rule.

Every symbol comes from the signature, every polynomial from running the step on symbols. Nothing here
is typed about a particular rule, so a formula shown in a notebook is a formula of the code. A letter that
is open is a symbol of its name; a number is made rational; no text is ever evaluated.

A rule with a step count `t` is read at the `t` it is frozen at, and as t → ∞ without one; `equivalent`
compares at every t.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sympy
from sympy.printing.latex import LatexPrinter

from momentum_lib.clock import LIMIT, Clock, a_rule, brief
from momentum_lib.conversions import formula
from momentum_lib.definition import NotLinear, Rule, RuleError, is_schedule
from momentum_lib.spectrum import Probe, iteration_matrix, probe
from momentum_lib.spectrum.probing import as_fractions

__all__ = [
    "Equivalence",
    "characteristic_polynomial",
    "equivalent",
    "jury_conditions",
    "latex",
    "transfer_function",
]

Z, LAM = sympy.symbols("z lam")
T = sympy.Symbol("t", integer=True, positive=True)

#: How identifiers print where SymPy's own translation of Greek names is not enough.
_NAMES = {
    LAM: r"\lambda",
    sympy.Symbol("dampening"): r"\tau",
    sympy.Symbol("weight_decay"): "w",
    sympy.Symbol("theta_star"): r"\theta^{\star}",
}


def exact(rule: Any, *taken: sympy.Symbol) -> Rule:
    """The rule with every letter exact: a symbol where it is open, a rational where it is a number.

    An expression that names t becomes a schedule.

    Raises
    ------
    RuleError
        What is no rule, an array, an open letter whose symbol is among the `taken`.
    """
    given = a_rule(rule)
    for symbol in taken:
        if symbol.name in given.free:
            raise RuleError(
                f"{symbol} of {given.name} is open, and formulas have a {symbol} of their own; "
                f"give it another symbol, .at({symbol}=sympy.Symbol('{symbol}_0'))."
            )
    return given.at(**{name: _timed(value) for name, value in _letters(given).items()})


def _letters(rule: Rule) -> dict[str, Any]:
    """Every letter but t and schedules as an expression."""
    letters: dict[str, Any] = {name: sympy.Symbol(name) for name in rule.free}
    for name, value in rule.setting.items():
        if name != "t" and not is_schedule(value):
            letters[name] = _expression(value, f"{name} of {rule.name}")
    return letters


def _expression(value: Any, what: str) -> Any:
    """A SymPy expression in plain symbols: `gamma` is a symbol here, never the gamma function."""
    number = formula(value, _symbol, _rational) if isinstance(value, str) else value
    try:
        number = _rational(number)
    except (sympy.SympifyError, TypeError):
        number = None
    if not isinstance(number, sympy.Expr) or number.has(sympy.zoo, sympy.nan, sympy.oo):
        raise RuleError(f"{what} is {brief(value)}; a formula takes one number or symbol.")
    return number.xreplace({s: _symbol(s.name) for s in number.free_symbols})


def _rational(expression: Any) -> Any:
    expression = sympy.sympify(expression, strict=True)
    return as_fractions(expression) if expression.has(sympy.Float) else expression


def _symbol(name: str) -> sympy.Symbol:
    return T if name == "t" else sympy.Symbol(name)


def _timed(value: Any) -> Any:
    """A letter that names t as the function of t it is."""

    def at(t: Any) -> Any:
        if t == LIMIT:
            raise RuleError(f"{value} is a formula in t, which is compared at every t and not as t → ∞.")
        return value.subs(T, t)

    return at if not is_schedule(value) and value.has(T) else value


def characteristic_polynomial(rule: Rule) -> sympy.Expr:
    """det(z - M) of the iteration matrix, as an expression in z, lam and the rule's open letters.

    Parameters
    ----------
    rule : Rule
        Any linear rule; a letter may be set to a number or a SymPy expression, lam among its symbols.

    Raises
    ------
    NotLinear, RuleError
        As `iteration_matrix`; an array for a letter.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> characteristic_polynomial(heavy_ball)
    gamma + z**2 + z*(eta*lam - gamma - 1)
    """
    matrix = iteration_matrix(exact(rule, Z, LAM), LAM)
    polynomial = sympy.expand(matrix.charpoly(Z).as_expr())
    return sympy.collect(polynomial, Z, sympy.factor)


def jury_conditions(rule: Rule) -> list[Any]:
    """Inequalities that hold together exactly where every root lies inside the unit circle.

    The Jury conditions of the characteristic polynomial, each a SymPy relation ``expression > 0``;
    roots at zero are divided out first, and a condition that always holds is left out.

    Parameters, errors
        As `characteristic_polynomial`.

    Source
        Jury 1964, in the table form; tight (necessary and sufficient).

    Examples
    --------
    >>> from momentum_lib import gradient_descent, heavy_ball
    >>> jury_conditions(gradient_descent)
    [eta*lam > 0, -eta*lam + 2 > 0]
    >>> jury_conditions(heavy_ball)
    [eta*lam > 0, -eta*lam + 2*(gamma + 1) > 0, 1 - gamma > 0]
    """
    polynomial = sympy.Poly(characteristic_polynomial(rule), Z)
    if polynomial.has(sympy.I):
        raise RuleError(f"{rule} holds a complex number, and Jury's conditions are about real ones.")
    while polynomial.degree() > 1 and polynomial.nth(0) == 0:
        polynomial = sympy.Poly(sympy.cancel(polynomial.as_expr() / Z), Z)
    degree = polynomial.degree()
    values = [polynomial.eval(1), (-1) ** degree * polynomial.eval(-1)]
    row = polynomial.all_coeffs()
    if degree >= 2:
        values.append(row[0] - row[-1])
        if degree > 2:
            values.append(row[0] + row[-1])
    while len(row) > 3:
        # The next row of the table; its ends are compared through squares, which need no absolute value.
        row = [sympy.expand(row[0] * a - row[-1] * b) for a, b in zip(row[:-1], row[:0:-1], strict=True)]
        if len(row) >= 3:
            values.append(sympy.factor(row[0] ** 2 - row[-1] ** 2))
    conditions = [sympy.collect(sympy.expand(v), LAM, sympy.factor) for v in values]
    return [relation for c in conditions if (relation := sympy.Gt(c, 0)) != sympy.true]


def transfer_function(rule: Rule, output: str = "theta") -> Any:
    """From the gradients a rule has read to what it makes of them, as a rational function of z.

    Parameters
    ----------
    rule : Rule
        As in `characteristic_polynomial`.
    output : str
        A slot, for that slot before the step, or ``"query"``, for where the next gradient is read. Where
        a rule reads the gradient m times a step the query is an (m, m) matrix.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> transfer_function(heavy_ball)
    -eta*z/((-gamma + z)*(z - 1))
    """
    rule = exact(rule, Z)
    if not isinstance(output, str) or output not in (*rule.slots, "query"):
        known = ", ".join(("query", *rule.slots))
        raise RuleError(f"{rule.name} has no output {brief(output)}; take one of {known}.")
    reads, (poles, found) = system(rule)[1].shape[1], transfer(rule, output)
    made = [sympy.factor(entry.as_expr() / poles.as_expr()) for entry in found]
    return made[0] if len(made) == 1 else sympy.Matrix(len(made) // reads, reads, made)


@functools.lru_cache(maxsize=64)
def transfer(rule: Rule, output: str) -> tuple[sympy.Poly, list[sympy.Poly]]:
    """The polynomial of A, and over it the transfer functions from every read to a slot or to the query."""
    a, b, c, _ = system(rule)
    rows = c if output == "query" else sympy.eye(a.shape[0])[rule.slots.index(output), :]
    poles = _polynomial(a)
    # c adj(z - A) b = det(z - A + b c) - det(z - A), the matrix determinant lemma.
    found = [
        _polynomial(a - b[:, j] * rows[i, :]) - poles for i in range(rows.shape[0]) for j in range(b.shape[1])
    ]
    if output == "query":
        found = [n + poles * entry for n, entry in zip(found, system(rule)[3], strict=True)]
    return poles, found


def system(rule: Rule) -> tuple[sympy.Matrix, ...]:
    """A, B, C and D of an exact rule; see `probe`."""
    if not rule.setting:  # a letter that does nothing makes the probe exact
        body = rule.step
        hyper = ("idle", *rule.hyper)
        rule = Rule(lambda *s, idle, **t: body(*s, **t), slots=rule.slots, hyper=hyper, name=rule.name)
        rule = rule.at(idle=sympy.Symbol("idle"))
    if rule.counts or rule.schedules or "t" in rule.setting:
        parts = list(probe(rule))
    else:
        letters = {sympy.Symbol(name): value for name, value in rule.setting.items()}
        parts = [part.xreplace(letters) for part in _plain(rule.base)]
    return tuple(sympy.Matrix(part).applyfunc(_rational) for part in parts)


@functools.lru_cache(maxsize=64)
def _plain(base: Rule) -> Probe:
    """The probe with a plain symbol for every letter: found once, and soon specialized."""
    return probe(base.at(**{name: sympy.Symbol(name) for name in base.hyper}))


def _polynomial(matrix: sympy.Matrix) -> sympy.Poly:
    return sympy.Poly(matrix.charpoly(Z).as_expr(), Z, field=True)


@dataclass(frozen=True)
class Equivalence:
    """What two rules have in common; true in a condition if they take the same steps from the start.

    Attributes
    ----------
    queries : bool
        Both read their gradients at the same points, whatever the gradients are.
    iterate : bool
        Both report the same theta besides.
    same_first_step : bool
        So do they from rest, with the first steps they take: what the first gradient leads to is the same.
    when : str
        Of which steps the first two speak: ``"every t"``, or the step a rule was frozen at.
    minimal : pair of bool
        Whether a rule has no mode that gradients never excite or that theta and query never show; None
        where a rule with t has no limit as t → ∞ to read it off.
    hidden : pair of expressions
        The polynomials of these modes; a power of z where a slot only delays or reports.
    gaps : dict
        What parts the two in queries and iterate: the difference of their transfer functions, or for a
        rule with t the first difference in what a gradient at step t leads to. Zero where a verdict is
        true.
    """

    queries: bool
    iterate: bool
    same_first_step: bool
    when: str
    minimal: tuple[bool | None, bool | None]
    hidden: tuple[Any, Any] = field(repr=False)
    gaps: dict[str, Any] = field(repr=False)

    def __bool__(self) -> bool:
        return self.queries and self.iterate and self.same_first_step


def equivalent(rule_a: Rule, rule_b: Rule, mapping: Mapping[str, Any] | None = None) -> Equivalence:
    """Whether `rule_b` is `rule_a` in other clothes: at every t, from the first step on.

    Exact, with symbols for letters. For constant letters the transfer functions from gradients to query
    and to theta must agree. That cancels modes which gradients never excite, so it is not enough: a
    hidden mode that does not decay would part the two at the first rounding error and makes both verdicts
    false. With a step count, or a letter that is an expression in t, what a gradient at step t leads to
    is followed with a symbol for t over as many steps as the rules have slots, which decides all later
    ones (a row of the observability matrix that depends on those before it stays dependent). What the
    first gradient leads to, from rest and through a first step of a rule's own, is followed as long.

    Parameters
    ----------
    rule_a, rule_b : Rule
        A rule frozen at a step, ``.at(t=5)``, is compared as it is there, and so is the other one;
        ``.at(t=math.inf)`` is the limit. The first steps stay those of the rules themselves.
    mapping : mapping of str to number, SymPy expression or text
        For letters of `rule_b`, their values in terms of those of `rule_a`, and of t; a text is read by
        `conversions.formula`. An open letter that is not named has the value it has in `rule_a`.

    Raises
    ------
    RuleError
        A letter of `rule_b` that stays open, a name neither rule has, a schedule that is no formula.
    NotLinear
        Either rule is not linear.

    Examples
    --------
    >>> from momentum_lib import bias_corrected, ema, heavy_ball, nesterov, torch_nesterov
    >>> bool(equivalent(heavy_ball, ema, {"eta": "eta/(1 - gamma)"}))
    True
    >>> same = equivalent(nesterov, torch_nesterov)      # the same gradients, another point reported
    >>> same.queries, same.iterate
    (True, False)
    >>> equivalent(heavy_ball, bias_corrected.at(t=math.inf))
    Equivalence(queries=True, iterate=True, same_first_step=False, when='t → ∞', minimal=(True, True))
    """
    for rule in (rule_a, rule_b):
        if a_rule(rule).schedules and "t" not in rule.setting:
            raise RuleError(
                f"{' and '.join(rule.schedules)} of {rule.name} is a schedule, and a comparison is about "
                "formulas; give it as an expression in t, or freeze the rule, .at(t=...)."
            )
    if not isinstance(mapping, Mapping | None):
        raise RuleError(f"the mapping is {brief(mapping)}; give letters and their values.")
    a = exact(rule_a, Z)
    b = _mapped(a, rule_b, dict(mapping or {}))
    frozen = list(dict.fromkeys(r.setting["t"] for r in (a, b) if "t" in r.setting))
    a, b = (r if "t" in r.setting or not frozen else r.at(t=frozen[0]) for r in (a, b))
    count = len(a.slots) + len(b.slots)

    def compared(t: Any) -> dict[str, Any]:
        echoes = _echoes(a, t, count), _echoes(b, t, count)
        return {name: _difference(*(echo[name] for echo in echoes)) for name in echoes[0]}

    varies = not frozen and any(r.counts or r.schedules for r in (a, b))
    if varies:
        for rule in (a, b):  # refuses what is not linear
            numbers = {name: 1 / (7 + k) for k, name in enumerate(rule.hyper)}
            iteration_matrix(rule.base.at(**numbers | {"t": 2}), 1.0)
        gaps = compared(T)
    else:
        pairs = {"queries": ("query", "query"), "iterate": (a.slots[0], b.slots[0])}
        gaps = {name: _apart(a, b, *outputs) for name, outputs in pairs.items()}
    hidden = (_hidden(a), _hidden(b))
    # Where the queries part so do the gradients, and then nothing they are made into stays the same.
    queries = gaps["queries"] == 0 and not any(_grows(h, varies) for h in hidden)
    iterate = queries and gaps["iterate"] == 0
    plain = not (varies or frozen or any(r.has_first_step or not _rests(r) for r in (a, b)))
    start = gaps if plain or not queries else compared(sympy.Integer(1))
    return Equivalence(
        queries=queries,
        iterate=iterate,
        same_first_step=queries and start["queries"] == 0 and (not iterate or start["iterate"] == 0),
        when=" and ".join("t → ∞" if t == math.inf else f"t = {t}" for t in frozen) or "every t",
        minimal=(_is_minimal(hidden[0]), _is_minimal(hidden[1])),
        hidden=hidden,
        gaps=gaps,
    )


def _mapped(a: Rule, rule_b: Rule, mapping: dict[str, Any]) -> Rule:
    """`rule_b` with the letters that the mapping, its own setting and `a` give it, in this order."""
    known = {sympy.Symbol(n): v for n, v in a.setting.items() if n != "t" and not is_schedule(v)}
    names = {s.name for v in known.values() for s in v.free_symbols} | {*a.hyper, *rule_b.hyper, "t"}
    given = {}
    for name, value in mapping.items():
        value = _expression(value, f"{name} of the mapping")
        for stranger in sorted({s.name for s in value.free_symbols} - names):
            raise RuleError(
                f"the mapping gives {name} as {value}, and {stranger} is no letter of {a.name}: "
                f"it has {', '.join(a.hyper)}."
            )
        given[name] = value.xreplace(known)
    b = rule_b.at(**given)
    for name in b.free:
        if name not in a.setting:
            raise RuleError(f"the mapping does not say what {name} of {b.name} is; add {name!r}: ...")
        b = b.at(**{name: a.setting[name]})
    return exact(b, Z)


def _echoes(rule: Rule, t: Any, count: int) -> dict[str, list[Any]]:
    """Queries and thetas of step t and `count` more: after a gradient of 1 at step t, and from rest."""
    echoes: dict[str, list[Any]] = {"queries": [], "iterate": []}

    def follow(state: tuple[Any, ...], pulse: int | None) -> int:
        for k in range(count + 1):
            state, asked = _advance(_unfrozen(rule), state, t + sympy.Integer(k), None if k else pulse)
            echoes["queries"] += asked
            echoes["iterate"].append(state[0])
        return len(asked)

    for pulse in range(follow(rule.init(sympy.Integer(t != T)), None)):
        follow((sympy.Integer(0),) * len(rule.slots), pulse)
    return echoes


def _advance(
    rule: Rule, state: tuple[Any, ...], t: Any, pulse: int | None
) -> tuple[tuple[Any, ...], list[Any]]:
    """Step t, exactly, the gradient being 1 at read number `pulse` and 0 at others: new state and queries."""
    asked: list[Any] = []

    def grad(x: Any) -> Any:
        asked.append(x)
        return sympy.Integer(len(asked) - 1 == pulse)

    clock = Clock(rule)
    letters = clock.letters(t)
    if rule.counts and t.is_Integer:  # as a symbol first, so that 0.9**t is rational before it is a number
        letters["t"] = T
    try:
        made = rule.apply(clock.body(t), state, grad, letters)
    except TypeError as error:
        raise RuleError(
            f"{rule.name} takes no symbol for t ({error}); compare it at a step, .at(t=...)."
        ) from None
    settled = [_rational(x).subs(T, t) if t.is_Integer else _rational(x) for x in (*made, *asked)]
    return tuple(settled[: len(made)]), settled[len(made) :]


def _unfrozen(rule: Rule) -> Rule:
    return rule.base.at(**{name: value for name, value in rule.setting.items() if name != "t"})


def _apart(a: Rule, b: Rule, output_a: str, output_b: str) -> Any:
    """The first difference of transfer functions that is not zero; see `_first`."""
    (poles_a, found_a), (poles_b, found_b) = transfer(a, output_a), transfer(b, output_b)
    if len(found_a) != len(found_b):
        return sympy.nan
    poles = (poles_a * poles_b).as_expr()
    pairs = zip(found_a, found_b, strict=True)
    return _first((x * poles_b - y * poles_a).as_expr() / poles for x, y in pairs)


def _difference(a: list[Any], b: list[Any]) -> Any:
    """The first difference of formulas in t that is not zero; nan where the two do not read as often."""
    if len(a) != len(b):
        return sympy.nan
    return _first(_split(x - y) for x, y in zip(a, b, strict=True))


def _first(gaps: Iterable[Any]) -> Any:
    """The first that is not zero, in factors."""
    for gap in gaps:
        found = sympy.factor(gap)
        if not all(p.exp.is_Integer for p in found.atoms(sympy.Pow)):  # roots may cancel
            found = sympy.simplify(found)
        if found != 0:
            return found
    return sympy.Integer(0)


def _split(gap: Any) -> Any:
    """Powers such as gamma^(2t + 1) as gamma (gamma^t)², with one symbol for gamma^t."""
    if not gap.has(T):
        return gap
    powers = sympy.expand_power_base(sympy.expand(gap, power_exp=True))
    return powers.replace(
        lambda p: p.is_Pow and p.exp.has(T),
        lambda p: sympy.Symbol(str(p.base**T)) ** sympy.cancel(p.exp / T),
    )


def _hidden(rule: Rule) -> Any:
    """Modes of A that the transfer functions to query and theta do not contain."""
    try:
        hidden, found = transfer(rule, "query")
    except RuleError:  # no limit as t → ∞
        return sympy.nan
    for entry in (*found, *transfer(rule, rule.slots[0])[1]):
        hidden = hidden.gcd(entry)
    return sympy.factor(hidden.as_expr())


def _is_minimal(hidden: Any) -> bool | None:
    return None if hidden is sympy.nan else bool(sympy.Poly(hidden, Z).is_monomial)


def _grows(hidden: Any, varies: bool) -> bool:
    """Whether a hidden mode is known not to decay: a root that is a number of modulus 1 or more.

    Where a rule varies the root is that as t → ∞, and 1 is passed: a mean of all steps forgets as 1/t.
    """
    factors = sympy.factor_list(sympy.numer(sympy.together(hidden)))[1] if hidden.has(Z) else ()
    return any(
        abs(root) >= (1 + 1e-12 if varies else 1 - 1e-12)
        for factor, _ in factors
        if factor.free_symbols == {Z}
        for root in sympy.Poly(factor, Z).nroots(n=30)
    )


def _rests(rule: Rule) -> bool:
    """Whether a zero gradient leaves the rule at rest where it stands."""
    a, _, c, _ = system(rule)
    rest = sympy.Matrix(rule.init(sympy.Integer(1)))
    return all(
        sympy.cancel(entry) == 0 for entry in (*(a * rest - rest), *(c * rest - sympy.ones(c.shape[0], 1)))
    )


# --- printing ----------------------------------------------------------------------------------------


def latex(what: Rule | Any) -> str:
    r"""The update of a rule, or any expression in the code's names, as LaTeX.

    For a rule the display is printed from its step, the one that leads to the state after t steps: run
    on symbols, written slot by slot, a gradient shown where it is read and a new slot used wherever that
    is shorter. A schedule prints with its t. For an expression, matrix or relation the code's names are
    translated (lam to \lambda, weight_decay to w).

    Parameters
    ----------
    what : Rule or SymPy object

    Returns
    -------
    str
        Without dollar signs; a rule gives an ``aligned`` environment.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> print(latex(heavy_ball))
    \begin{aligned}
    v_{t} &= \gamma v_{t-1} + \eta \nabla f\left(\theta_{t-1}\right) \\
    \theta_{t} &= \theta_{t-1} - v_{t}
    \end{aligned}
    """
    if not isinstance(what, Rule):
        what = _expression(what, "") if isinstance(what, str) else what
        return str(sympy.latex(what, symbol_names=_NAMES))
    letters = _letters(what.at(**{name: sympy.Symbol(f"{name}_t") for name in what.schedules}))
    if what.counts:
        letters["t"] = T
    lines = _lines(what, what.step, letters)
    if what.has_first_step:
        first = _lines(what, what.first_step, letters)
        lines += [line + r" && (t = 1)" for line in first if line not in lines]
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


def _slot_symbol(rule: Rule, index: int, *, new: bool) -> sympy.Symbol:
    """theta_t is what step t leads to; a slot that keeps the value before bears the t before."""
    slot = rule.slots[index]
    base = slot.removesuffix("_prev")
    lag = (0 if new else 1) + (base != slot)
    letter, digits = base.rstrip("0123456789"), base[len(base.rstrip("0123456789")) :]
    raised = f"^{{({digits})}}" if digits else ""
    return sympy.Symbol(f"{sympy.latex(sympy.Symbol(letter))}{raised}_{{t{f'-{lag}' if lag else ''}}}")


class _Printer(LatexPrinter):  # type: ignore[misc]
    """Terms in the order a paper prints them: iterates, then velocities, then gradients."""

    def __init__(self, carriers: list[sympy.Symbol]) -> None:
        super().__init__({"symbol_names": _NAMES})
        self._rank = {symbol: i for i, symbol in enumerate(carriers)}

    def _as_ordered_terms(self, expr: Any, order: Any = None) -> list[Any]:
        def rank(term: Any) -> int:
            if term.is_Number:
                return -1
            return min((self._rank.get(s, 99) for s in term.free_symbols), default=99)

        return sorted(map(positive_factors, super()._as_ordered_terms(expr, order=order)), key=rank)

    def _print_Mul(self, expr: Any) -> str:  # noqa: N802 - SymPy's name
        carriers = [f for f in expr.args if f in self._rank]
        if not carriers or sympy.denom(expr) != 1:
            return str(super()._print_Mul(expr))
        # The coefficient first, what it multiplies last.
        rest = expr / sympy.Mul(*carriers)
        sign, rest = ("- ", -rest) if rest.as_coeff_Mul()[0] < 0 else ("", rest)
        front = "" if rest == 1 else self._print(rest)
        front = rf"\left({front}\right)" if rest.is_Add else front
        return sign + " ".join([front, *(self._print(c) for c in carriers)]).strip()


def positive_factors(term: Any) -> Any:
    """Turn factors such as gamma - 1 into 1 - gamma and let the sign of the term carry the change."""
    out = sympy.Integer(1)
    for factor in sympy.Mul.make_args(term):
        base, exponent = factor.as_base_exp()
        flip = base.is_Add and exponent.is_odd and base.as_coeff_Add()[0] < 0
        out = -out * (-base) ** exponent if flip else out * factor
    return out


def _lines(rule: Rule, step: Any, bound: Mapping[str, Any]) -> list[str]:
    old = [_slot_symbol(rule, i, new=False) for i in range(len(rule.slots))]
    new = [_slot_symbol(rule, i, new=True) for i in range(len(rule.slots))]
    gradients: list[sympy.Symbol] = []

    def grad(x: Any) -> Any:
        where = _Printer(old).doprint(_tidy(x, old))
        gradients.append(sympy.Symbol(rf"\nabla f\left({where}\right)"))
        return gradients[-1]

    try:
        out = [_rational(e) for e in rule.apply(step, old, grad, bound)]
    except (TypeError, AttributeError, sympy.SympifyError) as error:
        raise NotLinear(
            f"{rule.name} does more than arithmetic ({type(error).__name__}: {error}), so no symbols run "
            "through its lines; they are in its card and its source."
        ) from error
    carriers = [*old, *new, *gradients]
    lines: list[str] = []
    known: list[int] = []

    def length(line: Any) -> Any:
        """Operations; a new velocity reads better than an old one."""
        return sympy.count_ops(line) + 3 * len(line.free_symbols & set(old[1:]))

    for i in [*range(1, len(out)), 0]:  # theta last: it uses the others
        shortest = _tidy(out[i], carriers)
        for j in reversed(known):
            # Put the new slot in the place of the gradient, or of the old slot, it was made from.
            for part in (*gradients, old[j]):
                if not (out[j].has(part) and shortest.has(part)):
                    continue
                (solved,) = sympy.solve(new[j] - out[j], part)
                candidate = _tidy(shortest.subs(part, solved), carriers)
                if length(candidate) < length(shortest):
                    shortest = candidate
        if shortest != new[i]:
            lines.append(f"{new[i].name} &= {_Printer(carriers).doprint(shortest)}")
        known.append(i)
    return lines


def _tidy(expression: Any, carriers: list[sympy.Symbol]) -> Any:
    collected = sympy.collect(sympy.expand(sympy.cancel(expression)), carriers, sympy.factor)
    return min((collected, sympy.factor_terms(sympy.expand(expression))), key=sympy.count_ops)
