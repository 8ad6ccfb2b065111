"""Which method is this? A rule of one's own, told by what it makes of its gradients.

The coefficients of its transfer functions are matched with those of the known methods: the letters of a
method with one memory are three numbers, alpha, beta and nu of quasi-hyperbolic momentum, and from there
`CONVERSIONS` leads to every other. Weight decay, several velocities and a controller's three parts have
their own coefficients.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import sympy

from momentum_lib.clock import real, standing
from momentum_lib.conversions import agree, image, members, reached
from momentum_lib.definition import RULES, NotLinear, Rule, RuleError
from momentum_lib.rules import (
    aggregated,
    bias_corrected,
    gradient_descent,
    heavy_ball,
    keras_nesterov,
    keras_sgd,
    optimistic_gradient,
    pid,
    qhm,
    robust_momentum,
    torch_nesterov,
    torch_sgd,
    triple_momentum,
)
from momentum_lib.spectrum import probe
from momentum_lib.symbolic import Z, equivalent, exact, positive_factors, transfer

__all__ = ["Identification", "identify", "qhm_letters"]


@dataclass(frozen=True)
class Identification:
    """What a rule turned out to be; prints as a sentence, true in a condition if the method is known.

    Attributes
    ----------
    of : Rule
        The rule that was asked about.
    rule : Rule or None
        The known method at its setting, in the letters of `of`.
    mapping : dict of str to SymPy expression
        Its letters.
    iterate : bool
        The method reports the same theta; the queries are the same.
    same_first_step : bool
        The method takes the same first step.
    when : str
        Of which steps that is true, as in `Equivalence`.
    reason : str
        Why it is new, if it is.
    """

    of: Rule
    rule: Rule | None
    mapping: dict[str, Any]
    iterate: bool
    same_first_step: bool
    when: str
    reason: str

    def __bool__(self) -> bool:
        return self.rule is not None

    def __repr__(self) -> str:
        if self.rule is None:
            return f"{self.of} is new: {self.reason}"
        what = "the same gradients, the same theta" if self.iterate else "the same gradients, another theta"
        when = "from the first step on" if self.same_first_step else "after a first step of its own"
        if self.when != "every t":
            when = f"{'as' if '∞' in self.when else 'at'} {self.when}"
        return f"{self.of} is {self.rule}: {what}, {when}."


def identify(rule: Rule) -> Identification:
    """Which known method a rule is, and with which letters; else its three letters of QHM; else new.

    Of several spellings the one with the fewest and shortest letters is taken that reports the same
    theta. A rule with a step count is compared at every t, and where that leads to nothing as t → ∞.

    Parameters
    ----------
    rule : Rule
        Any linear rule; letters may be open.

    Raises
    ------
    NotLinear
        The rule is not linear.
    RuleError
        What is no rule, a schedule, an array for a letter.

    Examples
    --------
    >>> from momentum_lib.definition import Rule
    >>> def mine(theta, m, grad, *, lr, beta):
    ...     m = beta * m + (1 - beta) * grad(theta)
    ...     return theta - lr * m, m
    >>> identify(Rule(mine))
    mine is ema(eta=lr, gamma=beta): the same gradients, the same theta, from the first step on.
    >>> def extragradient(theta, grad, *, eta):
    ...     return theta - eta * grad(theta - eta * grad(theta))
    >>> identify(Rule(extragradient))
    extragradient is new: it reads the gradient 2 times a step, and no rule here does.
    """
    given = exact(rule, Z)
    standing(given)  # refuses a schedule
    # A rule of one's own is in RULES too, and no known method for that.
    shipped = given.base in RULES.values() and given.base.__module__ == heavy_ball.__module__
    own = [given] if shipped else []
    changes = given.counts and "t" not in given.setting
    known, reason = own, ""
    if not (own and changes):
        try:
            known = _best(given, own)
        except RuleError:
            raise
        except ValueError as refusal:
            reason = f"{'as t → ∞ ' if changes else ''}it {refusal}."
    if changes and not own:
        balls = [bias_corrected.at(**method.setting) for method in known if method.base is heavy_ball]
        balls = [corrected for corrected in balls if equivalent(given, corrected).queries]
        known, given = (balls, given) if balls else (known, given.at(t=math.inf))
    for method in known:
        if method is given and "t" not in given.setting:
            return Identification(rule, _usable(given), _letters(given), True, True, "every t", "")
        proof = equivalent(given, method)
        if proof.queries:
            same = proof.iterate, proof.same_first_step, proof.when
            return Identification(rule, _usable(method), _letters(method), *same, "")
        reason = (
            f"it reads the gradients of {method} and hides a mode that does not decay, {proof.hidden[0]}."
        )
    return Identification(rule, None, {}, False, False, "every t", reason)


def qhm_letters(rule: Rule) -> dict[str, Any]:
    """The alpha, beta and nu with which qhm reads the gradients of `rule`, off its transfer function.

    A rule that stands still at zero gradient and has one memory besides theta has the transfer function
    -alpha ((1 - nu beta) z - beta (1 - nu)) / ((z - 1)(z - beta)) to its query: three numbers, and qhm has
    all three but where beta is 0 or 1. A rule with a step count is taken as t → ∞.

    Parameters
    ----------
    rule : Rule
        As in `identify`.

    Returns
    -------
    dict of str to SymPy expression

    Raises
    ------
    ValueError
        More than one memory, a pull on theta without a gradient, a memory that keeps no sum of gradients
        (beta = 0) or that never fades (beta = 1).
    NotLinear, RuleError
        As `identify`.

    Examples
    --------
    >>> from momentum_lib.rules import torch_nesterov
    >>> qhm_letters(torch_nesterov)
    {'alpha': eta/(1 - gamma), 'beta': gamma, 'nu': gamma}
    """
    try:
        return _three_letters(*_response(exact(rule, Z)))
    except RuleError:
        raise
    except ValueError as refusal:
        raise ValueError(f"{rule.name} {refusal}.") from None


def _response(rule: Rule) -> tuple[sympy.Poly, sympy.Poly]:
    """N and D without common factors, D monic: gradients make -N/D of the query."""
    poles, found = transfer(rule, "query")
    if len(found) != 1:
        raise ValueError(f"reads the gradient {math.isqrt(len(found))} times a step, and no rule here does")
    common = poles.gcd(found[0])
    above, below = -found[0].quo(common), poles.quo(common)
    return above.quo_ground(below.LC()), below.monic()


def _three_letters(above: sympy.Poly, below: sympy.Poly) -> dict[str, Any]:
    """Alpha, beta and nu of N/D = alpha ((1 - nu beta) z - beta (1 - nu)) / ((z - 1)(z - beta))."""
    if below.degree() > 2:
        raise ValueError(f"has {below.degree() - 1} memories; qhm has one")
    if below.degree() == 1:
        above, below = above * sympy.Poly(Z, Z), below * sympy.Poly(Z, Z)
    if _tidy(below.eval(1)) != 0:
        raise ValueError(
            f"does not rest at zero gradient ({_tidy(below.eval(1))} pulls it); set its decay to 0"
        )
    beta, lower = _tidy(below.nth(0)), above.nth(0)
    if beta == 1:
        raise ValueError("never forgets a gradient, and the velocity of qhm always fades")
    alpha = _tidy(above.eval(1) / (1 - beta))
    if beta == 0:
        if _tidy(lower) != 0:
            raise ValueError("remembers a gradient but no sum of them, and qhm has no such member")
        return {"alpha": alpha, "beta": beta, "nu": beta}
    return {"alpha": alpha, "beta": beta, "nu": _tidy(1 + lower / (alpha * beta))}


class _Candidate(NamedTuple):
    """A method that reads the rule's gradients: at a sample of the letters, and how it is made of them."""

    sample: Rule
    make: Callable[[], Rule]


def _best(given: Rule, own: list[Rule]) -> list[Rule]:
    """The methods that fit best: the same theta, the same first step, the fewest and then shortest letters.

    Which are reached, and what they report, is decided at a sample of the letters, and proved afterwards.

    Raises
    ------
    ValueError
        There is none; says why.
    """
    symbols = sorted({s for v in given.setting.values() for s in sympy.sympify(v).free_symbols}, key=str)
    values = {symbol: 1 / (7 + 4 * k) for k, symbol in enumerate(symbols)}  # nothing special about them
    frozen = "t" in given.setting
    sample = _numbers(given, values)
    try:
        theta = _thetas(sample)
    except NotLinear:
        raise
    except RuleError:
        raise ValueError("does not settle") from None
    found = [_Candidate(_numbers(rule, values), partial(_along, rule, [])) for rule in own]
    try:
        found += _candidates(given, values)
    except ValueError:
        if not found:
            raise

    def misfit(sample: Rule) -> tuple[bool, bool, bool, int]:
        try:
            other_theta = not np.allclose(_thetas(sample), theta, rtol=1e-7, atol=1e-12)
        except NotLinear:  # letters so large that rounding hides what it does
            return True, True, True, len(sample.hyper)
        other_start = given.has_first_step and not frozen and not agree(_numbers(given, values), sample)[0]
        letters = _letters(sample).values()
        return 0 in letters, other_theta, other_start, len(letters)  # a 0 means: another method in disguise

    def length(rule: Rule) -> tuple[Any, ...]:
        operations = sum(0 if v.is_number else sympy.count_ops(v) for v in _letters(rule).values())
        return operations, rule.base is not given.base, list(RULES).index(rule.name)

    if not found:
        _three_letters(*_response(given))  # says why
    least = min(misfit(candidate.sample) for candidate in found)
    return sorted((make() for sample, make in found if misfit(sample) == least), key=length)


def _candidates(given: Rule, values: Mapping[Any, float]) -> Iterator[_Candidate]:
    """The known methods with the rule's transfer function from gradients to queries.

    Raises
    ------
    ValueError
        There is none; says why.
    """

    def made(method: Rule, **letters: Any) -> _Candidate:
        rule = method.at(**{name: _tidy(value) for name, value in letters.items()})
        return _Candidate(_numbers(rule, values), partial(_along, rule, []))

    def spellings(letters: Mapping[str, Any]) -> dict[Rule, _Candidate]:
        start = qhm.at(**letters)
        ways = members(_numbers(start, values))[0]
        return {to: _Candidate(way[-1], partial(_along, start, way)) for to, way in ways.items()}

    above, below = _response(given)
    if below.degree() == 1 and below.eval(1) == 0:
        yield made(gradient_descent, eta=above.eval(1))
    elif below.degree() == 2 and below.eval(1) == below.nth(0) == 0:  # the last gradient, and no sum
        yield made(optimistic_gradient, eta=above.eval(1), gamma=-above.nth(0) / above.eval(1))
    elif below.degree() == 2 and below.eval(1) == 0:
        inside = spellings(_three_letters(above, below))
        yield from inside.values()
        start = -sympy.Matrix(probe(given.at(t=1)).B)[0] if given.has_first_step else 0
        if heavy_ball in inside and start != 0:  # PyTorch's dampening, which the first step leaves out
            body = inside[heavy_ball].make().setting
            yield made(torch_sgd, eta=start, gamma=body["gamma"], dampening=1 - body["eta"] / start)
        if robust_momentum in inside:  # what it reports besides is a letter that no query tells
            letters = inside[robust_momentum].make().setting
            lead = -transfer(given, given.slots[0])[1][0].nth(len(given.slots) - 1)
            yield made(triple_momentum, **letters, delta=lead / letters["alpha"] - 1)
    elif below.degree() <= 2 and above.eval(1) != 0:
        # Weight decay inside the gradient (PyTorch) adds N times it to D, outside (Keras) it is a root of D.
        decay = below.eval(1) / above.eval(1)
        if below.degree() == 1:
            yield made(torch_sgd, eta=above.eval(1), gamma=0, weight_decay=decay)
        inside = spellings(_three_letters(above, (below - above * sympy.Poly(decay, Z)).monic()))
        for plain, method in ((heavy_ball, torch_sgd), (torch_nesterov, torch_nesterov)):
            if plain in inside:
                yield made(method, **{**inside[plain].make().setting, "weight_decay": decay})
        roots = _roots(below)
        for rest, gamma in (roots, roots[::-1]) if len(roots) == 2 else ():
            for method, eta, lower in (
                (keras_sgd, above.nth(1), 0),
                (keras_nesterov, above.eval(1), -above.eval(1) * gamma),
            ):
                if eta != 0 and _tidy(above.nth(0) - lower) == 0:
                    yield made(method, eta=eta, gamma=gamma, weight_decay=(1 - rest) / eta)
    else:
        memories, rest = below.div(sympy.Poly(Z - 1, Z))
        beta = _tidy(-memories.nth(1))
        if rest.is_zero and below.degree() == 3 and _tidy(memories.nth(0)) == 0 and beta not in (0, 1):
            k_d = above.eval(beta) / (1 - beta) ** 3
            k_p = (above.nth(0) - k_d * (1 - beta)) / beta
            yield made(pid, k_p=k_p, k_i=above.eval(1) / (1 - beta), k_d=k_d, beta=beta)
        elif rest.is_zero and (rates := _rates(above, memories)):
            eta = {"eta": _tidy(above.nth(memories.degree()))}
            numbers = [float(sympy.sympify(rate).subs(values)) for rate in rates]
            family: Any = aggregated
            sample = _numbers(family(numbers).at(**eta), values)
            yield _Candidate(sample, lambda: family(rates).at(**eta))


def _rates(above: sympy.Poly, memories: sympy.Poly) -> list[Any]:
    """The rates of averaged velocities: N/D (z - 1) is then eta/K times the sum of z/(z - gamma_i)."""
    roots, eta = _roots(memories), above.nth(memories.degree())
    if len(roots) < memories.degree() or 0 in roots or _tidy(eta) == 0:
        return []
    # The share of a rate among the K is its residue over gamma eta; a rate of 0 leaves no pole.
    shares = [_tidy(above.eval(r) / (memories.diff(Z).eval(r) * r * eta)) for r in roots]
    if not all(share.is_Rational and share > 0 for share in shares) or sum(shares) > 1:
        return []
    count = math.lcm(*(int(share.q) for share in shares))
    if count > 8:  # a mean of dozens of velocities explains nothing
        return []
    rates = [r for r, share in zip(roots, shares, strict=True) for _ in range(int(share * count))]
    return [sympy.Integer(0)] * (count - len(rates)) + rates


def _roots(polynomial: sympy.Poly) -> list[Any]:
    """The distinct roots that are rational in the letters."""
    factors = sympy.factor_list(sympy.numer(sympy.together(polynomial.as_expr())))[1]
    linear = [sympy.Poly(factor, Z) for factor, _ in factors if sympy.degree(factor, Z) == 1]
    return [_tidy(-factor.nth(0) / factor.nth(1)) for factor in linear]


def _along(start: Rule, way: list[Rule]) -> Rule:
    """The setting at the end of a way that was found at a sample of the letters."""
    for there in way[1:]:
        made = image(start, there.base, _tidy)
        assert isinstance(made, Rule)
        start = made
    return start


def _numbers(rule: Rule, values: Mapping[Any, float]) -> Rule:
    letters = {n: sympy.sympify(v).subs(values) for n, v in rule.setting.items() if n != "t"}
    return rule.at(**{name: real(name, value) for name, value in letters.items()})


def _thetas(rule: Rule) -> Any:
    """What a gradient of 1 does to theta, step after step."""
    return reached(rule, 9)[0]


def _letters(rule: Rule) -> dict[str, Any]:
    """What is set other than by default."""
    return {n: v for n, v in rule.setting.items() if n != "t" and v != rule.defaults.get(n)}


def _tidy(expression: Any) -> Any:
    return positive_factors(sympy.factor(expression))


def _usable(rule: Rule) -> Rule:
    """The rule with Python's numbers where its letters are numbers, so that it runs."""

    def number(value: Any) -> Any:
        if getattr(value, "is_Integer", False):
            return int(value)
        return float(value) if getattr(value, "is_number", False) else value

    base = rule.base
    if base.made_by and base not in RULES.values():
        make, (rates,) = base.made_by
        base = make(tuple(map(number, rates)))
    frozen = {name: value for name, value in rule.setting.items() if name == "t"}
    return base.at(**{name: number(value) for name, value in _letters(rule).items()} | frozen)
