"""Formulas about a rule, read off the rule.

Every symbol comes from the signature, every polynomial from running the step on symbols. Nothing here
is typed about a particular rule, so a formula shown in a notebook is a formula of the code.

A rule with a step count `t` is treated at its t -> infinity body unless `t` is given.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import sympy
from sympy.printing.latex import LatexPrinter

from momentum_lib.definition import Rule, RuleError
from momentum_lib.spectrum import iteration_matrix, probe

__all__ = [
    "Equivalence",
    "characteristic_polynomial",
    "equivalent",
    "hyper_symbols",
    "jury_conditions",
    "latex",
    "transfer_function",
]

Z, LAM, T = sympy.symbols("z lam t")

#: How identifiers print where SymPy's own translation of Greek names is not enough.
_PRINTED = {
    "lam": r"\lambda",
    "dampening": r"\tau",
    "weight_decay": "w",
    "theta_star": r"\theta^{\star}",
}


def hyper_symbols(rule: Rule) -> dict[str, sympy.Symbol]:
    """One plain SymPy symbol a hyper-parameter, named as in the code; `t` is left out.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> hyper_symbols(heavy_ball)
    {'eta': eta, 'gamma': gamma}
    """
    return {name: sympy.Symbol(name) for name in rule.hyper if name != "t"}


def _exact(rule: Rule, hyper: Mapping[str, Any]) -> dict[str, Any]:
    """Symbols for what is not given; numbers made rational, text read with the code's names."""
    for name in hyper:
        if name not in rule.hyper:
            rule.bind({name: 0})  # says which name is unknown and what is near
    given = {name: _expression(value) for name, value in hyper.items()}
    return {**hyper_symbols(rule), **given}


def _expression(value: Any) -> Any:
    """A SymPy expression with plain symbols: `gamma` is a symbol here, never the gamma function."""
    if isinstance(value, str):
        names = {n: sympy.Symbol(n) for n in ("gamma", "beta", "zeta", "lam", "S", "N", "I", "E", "O", "Q")}
        value = sympy.sympify(value, locals=names)
    if value == math.inf:
        return value
    value = sympy.nsimplify(value, rational=True)
    return value.xreplace({s: sympy.Symbol(s.name) for s in value.free_symbols})


def characteristic_polynomial(rule: Rule, **hyper: Any) -> sympy.Expr:
    """det(z - M) of the iteration matrix, as an expression in z, lam and the rule's hyper-parameters.

    Parameters
    ----------
    rule : Rule
    **hyper
        Values for some hyper-parameters (numbers, SymPy expressions, or text such as ``"1 - gamma"``);
        the others stay symbols.

    Raises
    ------
    NotLinear, RuleError
        As `iteration_matrix`.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> characteristic_polynomial(heavy_ball)
    gamma + z**2 + z*(eta*lam - gamma - 1)
    """
    matrix = iteration_matrix(rule, LAM, **_exact(rule, hyper))
    polynomial = sympy.expand(matrix.charpoly(Z).as_expr())
    return sympy.collect(polynomial, Z, sympy.factor)


def jury_conditions(rule: Rule, **hyper: Any) -> list[Any]:
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
    polynomial = sympy.Poly(characteristic_polynomial(rule, **hyper), Z)
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


def transfer_function(rule: Rule, output: str = "theta", **hyper: Any) -> Any:
    """From the gradients a rule has read to what it makes of them, as a rational function of z.

    Parameters
    ----------
    rule : Rule
    output : str
        A slot, for that slot before the step, or ``"query"``, for where the next gradient is read. Where
        a rule reads the gradient m times a step the query is an (m, m) matrix.
    **hyper
        As `characteristic_polynomial`.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> transfer_function(heavy_ball)
    -eta*z/((-gamma + z)*(z - 1))
    """
    if output not in (*rule.slots, "query"):
        known = ", ".join(("query", *rule.slots))
        raise RuleError(f"{rule.name} has no output {output!r}; take one of {known}.")
    outputs = _transfer(rule, tuple(_exact(rule, hyper).items()))
    found = outputs[output]
    return sympy.factor(found[0, 0]) if found.shape == (1, 1) else found.applyfunc(sympy.factor)


@functools.lru_cache(maxsize=64)
def _transfer(rule: Rule, hyper: tuple[tuple[str, Any], ...]) -> dict[str, sympy.Matrix]:
    """Transfer functions to every slot and to the query, and the polynomial of A under "poles"."""
    a, b, c, d = probe(rule, **dict(hyper))
    resolvent = (Z * sympy.eye(a.shape[0]) - a).inv(method="ADJ")
    state = (resolvent * b).applyfunc(sympy.cancel)
    outputs = {name: state[i, :] for i, name in enumerate(rule.slots)}
    outputs["query"] = (c * state + d).applyfunc(sympy.cancel)
    outputs["poles"] = sympy.Matrix([[a.charpoly(Z).as_expr()]])
    return outputs


class _Verdicts(NamedTuple):
    queries: bool
    iterate: bool


class Equivalence(_Verdicts):
    """Two verdicts, `queries` and `iterate`, and what stands behind them; true in a condition if both are.

    Attributes
    ----------
    queries : bool
        Both rules read their gradients at the same points.
    iterate : bool
        Both rules report the same theta.
    gaps : dict
        The difference of the transfer functions; zero where a verdict is true.
    hidden : pair of expressions
        For each rule the polynomial of the modes that gradients never excite or theta and query never
        show; 1 for a minimal rule, a power of z where a slot only delays or reports.
    minimal : pair of bool
        Whether that polynomial has no root but zero.
    same_first_step : bool
        Neither rule has a first step that differs, at these settings, from its body at rest.
    """

    gaps: dict[str, Any]
    hidden: tuple[Any, Any]
    minimal: tuple[bool, bool]
    same_first_step: bool

    @classmethod
    def _of(cls, verdicts: tuple[bool, bool], **facts: Any) -> Equivalence:
        made = cls(*verdicts)
        made.__dict__.update(facts)
        return made

    def __bool__(self) -> bool:
        return self.queries and self.iterate  # not, as of any pair, that there are two

    def __repr__(self) -> str:
        return f"Equivalence(queries={self.queries}, iterate={self.iterate})"


def equivalent(rule_a: Rule, rule_b: Rule, mapping: Mapping[str, Any] | None = None) -> Equivalence:
    """Whether `rule_b`, called with `mapping`, is `rule_a` in other clothes.

    At constant hyper-parameters and a start at rest. The two transfer functions, from gradients to query
    and from gradients to theta, must agree exactly, as rational functions of z with symbols for
    coefficients. That cancels modes which gradients never excite, so it is not enough: a hidden mode that
    does not decay would part the two at the first rounding error and makes both verdicts false. What
    stays hidden is told (`Equivalence.hidden`), and so is a first step of its own.

    Parameters
    ----------
    rule_a, rule_b : Rule
    mapping : mapping of str to number, text or SymPy expression
        For hyper-parameters of `rule_b`, their values in terms of those of `rule_a`. One that is not
        named keeps the name, and its default if `rule_a` has none of that name.

    Returns
    -------
    Equivalence
        Unpacks into ``queries, iterate``.

    Raises
    ------
    RuleError
        A hyper-parameter of `rule_b` that the mapping leaves open, or a name neither rule has.
    NotLinear
        Either rule is not linear.

    Examples
    --------
    >>> from momentum_lib import ema, heavy_ball, nesterov, torch_nesterov
    >>> equivalent(heavy_ball, ema, {"eta": "eta/(1 - gamma)"})
    Equivalence(queries=True, iterate=True)
    >>> equivalent(nesterov, torch_nesterov)      # the same gradients, another point reported
    Equivalence(queries=True, iterate=False)
    """
    known = hyper_symbols(rule_a)
    settings_b: dict[str, Any] = {}
    mapping = dict(mapping or {})
    for name in mapping:
        if name not in rule_b.hyper:
            rule_b.bind({name: 0})
    for name in rule_b.hyper:
        if name == "t":
            continue
        if name in mapping:
            settings_b[name] = _expression(mapping[name])
        elif name in known:
            settings_b[name] = known[name]
        elif name in rule_b.defaults:
            settings_b[name] = sympy.nsimplify(rule_b.defaults[name], rational=True)
        else:
            raise RuleError(f"the mapping does not say what {name} of {rule_b.name} is; add {name!r}: ...")
    settings_a = {
        n: s if n in _mentioned(settings_b) or n not in rule_a.defaults else _expression(rule_a.defaults[n])
        for n, s in known.items()
    }
    a = _transfer(rule_a, tuple(settings_a.items()))
    b = _transfer(rule_b, tuple(settings_b.items()))
    theta_a, theta_b = a[rule_a.slots[0]], b[rule_b.slots[0]]
    gaps: dict[str, Any] = {
        "queries": _difference(a["query"], b["query"]),
        "iterate": _difference(theta_a, theta_b),
    }
    hidden = (_hidden(a, rule_a), _hidden(b, rule_b))
    steady = not any(_grows(h) for h in hidden)
    # Where the queries part so do the gradients, and then nothing they are made into stays the same.
    queries = steady and gaps["queries"] == 0
    verdicts = (queries, queries and gaps["iterate"] == 0)
    return Equivalence._of(
        verdicts,
        gaps=gaps,
        hidden=hidden,
        minimal=tuple(sympy.Poly(h, Z).is_monomial for h in hidden),
        same_first_step=_starts_at_rest(rule_a, settings_a) and _starts_at_rest(rule_b, settings_b),
    )


def _mentioned(settings: Mapping[str, Any]) -> set[str]:
    return {s.name for value in settings.values() for s in value.free_symbols}


def _difference(a: sympy.Matrix, b: sympy.Matrix) -> Any:
    """Zero, the simplified difference, or nan where the two do not even have the same shape."""
    if a.shape != b.shape:
        return sympy.nan
    gaps = (sympy.cancel(sympy.together(x - y)) for x, y in zip(a, b, strict=True))
    return next((gap for g in gaps if g != 0 and (gap := sympy.simplify(g)) != 0), sympy.Integer(0))


def _hidden(outputs: Mapping[str, sympy.Matrix], rule: Rule) -> Any:
    """Modes of A that the transfer functions to query and theta do not contain."""
    seen = sympy.Integer(1)
    for entry in (*outputs["query"], *outputs[rule.slots[0]]):
        seen = sympy.lcm(seen, sympy.denom(sympy.cancel(entry)).as_poly(Z).monic().as_expr())
    return sympy.factor(sympy.cancel(outputs["poles"][0, 0] / seen))


def _grows(hidden: Any) -> bool:
    """Whether a hidden mode is known not to decay: a root that is a number of modulus 1 or more."""
    roots = sympy.roots(sympy.Poly(hidden, Z)) if hidden.has(Z) else {}
    return any(root.is_number and abs(complex(root)) >= 1 for root in roots)


def _starts_at_rest(rule: Rule, settings: Mapping[str, Any]) -> bool:
    if not rule.has_first_step:
        return True
    theta, slope = sympy.symbols("theta slope")
    hyper = dict(settings) | ({"t": 1} if "t" in rule.hyper else {})
    both = (rule.first_step, rule.step)
    steps = [rule.apply(step, rule.init(theta), lambda x: slope * x, hyper) for step in both]
    return all(sympy.simplify(x - y) == 0 for x, y in zip(*steps, strict=True))


# --- printing ----------------------------------------------------------------------------------------


def latex(what: Rule | Any, **hyper: Any) -> str:
    r"""The update of a rule, or any expression in the code's names, as LaTeX.

    For a rule the display is printed from its step: run on symbols, written slot by slot, a gradient
    shown where it is read and a new slot used wherever that is shorter. For an expression, matrix or
    relation the code's names are translated (lam to \lambda, weight_decay to w).

    Parameters
    ----------
    what : Rule or SymPy object
    **hyper
        Values for some hyper-parameters of a rule.

    Returns
    -------
    str
        Without dollar signs; a rule gives an ``aligned`` environment.

    Examples
    --------
    >>> from momentum_lib import heavy_ball
    >>> print(latex(heavy_ball))
    \begin{aligned}
    v_{t} &= \gamma v_{t-1} + \eta \nabla f\left(\theta_{t}\right) \\
    \theta_{t+1} &= \theta_{t} - v_{t}
    \end{aligned}
    """
    if not isinstance(what, Rule):
        return _tex(what)
    bound = _exact(what, hyper)
    if "t" in what.hyper:
        bound.setdefault("t", T)
    lines = _lines(what, what.step, bound)
    if what.has_first_step:
        first = _lines(what, what.first_step, bound)
        lines += [line + r" && (t = 1)" for line in first if line not in lines]
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


def _tex(expression: Any) -> str:
    names = {sympy.Symbol(k): v for k, v in _PRINTED.items()}
    return str(sympy.latex(sympy.sympify(expression), symbol_names=names))


def _slot_symbol(rule: Rule, index: int, *, new: bool) -> sympy.Symbol:
    """theta_t is where step t starts; a velocity made in step t bears that t."""
    slot = rule.slots[index]
    base, previous = (slot[:-5], True) if slot.endswith("_prev") else (slot, False)
    lag = (1 if new else 0) - (1 if previous else 0) - (0 if rule.at_rest[index] else 1)
    letter, digits = base.rstrip("0123456789"), base[len(base.rstrip("0123456789")) :]
    sub = "t" if lag == 0 else f"t{lag:+d}"
    raised = f"^{{({digits})}}" if digits else ""
    return sympy.Symbol(f"{sympy.latex(sympy.Symbol(letter))}{raised}_{{{sub}}}")


class _Printer(LatexPrinter):  # type: ignore[misc]
    """Terms in the order a paper prints them: iterates, then velocities, then gradients."""

    def __init__(self, carriers: list[sympy.Symbol]) -> None:
        super().__init__({"symbol_names": {sympy.Symbol(k): v for k, v in _PRINTED.items()}})
        self._rank = {symbol: i for i, symbol in enumerate(carriers)}

    def _as_ordered_terms(self, expr: Any, order: Any = None) -> list[Any]:
        def rank(term: Any) -> int:
            if term.is_Number:
                return -1
            return min((self._rank.get(s, 99) for s in term.free_symbols), default=99)

        return sorted(map(_positive_factors, super()._as_ordered_terms(expr, order=order)), key=rank)

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


def _positive_factors(term: Any) -> Any:
    """Turn factors such as gamma - 1 into 1 - gamma and let the sign of the term carry the change."""
    out = sympy.Integer(1)
    for factor in sympy.Mul.make_args(term):
        base, exponent = factor.as_base_exp()
        flip = base.is_Add and exponent in (1, -1) and base.as_coeff_Add()[0] < 0
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

    out = [sympy.nsimplify(e, rational=True) for e in rule.apply(step, old, grad, bound)]
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
