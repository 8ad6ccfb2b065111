"""Formulas read off the rules, held against the rules' own numbers and against the textbook."""

import numpy as np
import pytest
import sympy

import momentum_lib as ml
from momentum_lib import (
    RULES,
    Rule,
    characteristic_polynomial,
    equivalent,
    iteration_matrix,
    jury_conditions,
    latex,
    spectral_radius,
    transfer_function,
)

eta, gamma, lam, z = sympy.symbols("eta gamma lam z")


def settings(rule: Rule, rng: np.random.Generator) -> dict[str, float]:
    """Generic values in (0, 0.3): small enough that most rules are stable somewhere."""
    return {
        n: float(v)
        for n, v in zip(rule.hyper, rng.uniform(0.05, 0.3, len(rule.hyper)), strict=True)
        if n != "t"
    }


def test_textbook_polynomials() -> None:
    """Tight: the printed polynomial is the textbook's."""
    assert (
        sympy.expand(characteristic_polynomial(ml.heavy_ball) - (z**2 - (1 + gamma - eta * lam) * z + gamma))
        == 0
    )
    nesterov = z**2 - (1 + gamma) * (1 - eta * lam) * z + gamma * (1 - eta * lam)
    assert sympy.expand(characteristic_polynomial(ml.nesterov) - nesterov) == 0


@pytest.mark.parametrize("rule", RULES.values(), ids=str)
def test_polynomial_has_the_eigenvalues_as_roots(rule: Rule) -> None:
    values = settings(rule, np.random.default_rng(1))
    polynomial = sympy.Poly(characteristic_polynomial(rule, **values).subs(lam, sympy.Rational(3, 2)), z)
    coefficients = [float(c) for c in polynomial.all_coeffs()]
    assert np.allclose(coefficients, np.poly(iteration_matrix(rule, 1.5, **values)), atol=1e-9)


@pytest.mark.parametrize(
    "name", ["gradient_descent", "heavy_ball", "nesterov", "ema", "torch_sgd", "keras_nesterov"]
)
def test_jury_conditions_are_stability(name: str) -> None:
    """Tight: all conditions hold where, and only where, the spectral radius is below 1."""
    rule = RULES[name]
    symbols = [sympy.Symbol(n) for n in ("lam", *rule.hyper)]
    expressions = [relation.lhs for relation in jury_conditions(rule)]
    conditions = sympy.lambdify(symbols, expressions)
    rng = np.random.default_rng(2)
    lams = rng.uniform(0.01, 5, 2000)
    values = {n: rng.uniform(0, 1, 2000) for n in rule.hyper}
    held = np.all([np.broadcast_to(c, 2000) > 0 for c in conditions(lams, *values.values())], axis=0)
    rho = spectral_radius(rule, lams, **values)
    clear = np.abs(rho - 1) > 1e-9
    assert 0 < held.sum() < 2000
    assert (held == (rho < 1))[clear].all()


def test_jury_of_a_cubic_is_stability() -> None:
    def step(theta, a, b, grad, *, eta):  # type: ignore[no-untyped-def]
        g = grad(theta)
        a, b = a / 2 + g, 9 * b / 10 + g
        return theta - eta * (a + b) / 2, a, b

    rule = Rule(step, name="two_memories")
    conditions = sympy.lambdify([lam, eta], [r.lhs for r in jury_conditions(rule)])
    lams = np.linspace(0.05, 6, 400)
    held = np.all([np.broadcast_to(c, 400) > 0 for c in conditions(lams, 1.0)], axis=0)
    assert 0 < held.sum() < 400
    assert (held == (spectral_radius(rule, lams, eta=1.0) < 1)).all()


def test_equivalences_and_where_they_end() -> None:
    assert equivalent(ml.heavy_ball, ml.ema, {"eta": "eta/(1 - gamma)"}) == (True, True)
    assert equivalent(ml.heavy_ball, ml.ema) == (False, False)
    assert not equivalent(ml.heavy_ball, ml.ema) and not equivalent(ml.nesterov, ml.torch_nesterov)
    assert equivalent(ml.heavy_ball, ml.torch_sgd) == (True, True)
    assert equivalent(ml.heavy_ball, ml.polyak_two_step) == (True, True)
    assert equivalent(ml.nesterov, ml.torch_nesterov) == (True, False)
    # The map from gradients to theta is the same; the gradients are not.
    assert equivalent(ml.heavy_ball, ml.nesterov) == (False, False)
    # Decoupled decay is not coupled decay, and without decay they are one.
    assert equivalent(ml.torch_nesterov, ml.keras_nesterov) == (False, False)
    assert equivalent(ml.torch_nesterov, ml.keras_nesterov, {"weight_decay": 0}) == (True, True)


def test_hidden_modes_are_told_and_growing_ones_refused() -> None:
    plain = equivalent(ml.gradient_descent, ml.heavy_ball, {"gamma": 0})
    assert plain == (True, True) and plain.hidden[1] == z and plain.minimal == (True, True)

    def step(theta, w, grad, *, eta):  # type: ignore[no-untyped-def]
        return theta - eta * grad(theta), 2 * w

    twin = equivalent(ml.gradient_descent, Rule(step, name="with_a_ghost"))
    assert twin.gaps["iterate"] == 0 and twin == (False, False) and twin.hidden[1] == z - 2

    def decaying(theta, w, grad, *, eta, beta):  # type: ignore[no-untyped-def]
        g = grad(theta)
        return theta - eta * g, beta * w + g

    told = equivalent(ml.gradient_descent, Rule(decaying, name="with_a_diary"), {"beta": "beta"})
    assert told == (True, True) and told.minimal == (True, False)


def test_first_steps_are_told() -> None:
    mapping = {"eta": "eta*(1 - dampening)/(1 - gamma)"}
    assert not equivalent(ml.torch_sgd, ml.ema, mapping).same_first_step
    assert equivalent(ml.torch_sgd, ml.ema, mapping) == (True, True)
    assert equivalent(ml.heavy_ball, ml.torch_sgd).same_first_step


def test_transfer_function_reproduces_a_run() -> None:
    """Tight: the impulse response of the transfer function is what one gradient does to theta."""
    series = sympy.series(
        transfer_function(ml.heavy_ball, gamma="1/2", eta=1).subs(z, 1 / lam), lam, 0, 6
    ).removeO()
    response = [float(series.coeff(lam, k)) for k in range(1, 6)]

    class Pulse:
        def at_step(self, t, rng):  # type: ignore[no-untyped-def]
            return lambda x: 0 * x + (t == 1)

        __call__ = staticmethod(np.zeros_like)

    theta = ml.run(ml.heavy_ball, Pulse(), 0.0, 5, eta=1.0, gamma=0.5).theta
    assert np.allclose(theta[1:], response, atol=1e-15)


def test_latex_of_every_rule_shows_its_gradient_and_slots() -> None:
    for rule in RULES.values():
        text = latex(rule)
        assert r"\nabla f" in text and r"\theta_{t+1}" in text and "- -" not in text and "+ -" not in text
    assert r"\nabla f\left(\theta_{t} - \gamma v_{t-1}\right)" in latex(ml.nesterov)


def test_refusals() -> None:
    with pytest.raises(ml.RuleError, match="did you mean gamma"):
        characteristic_polynomial(ml.heavy_ball, gama=0.5)
    with pytest.raises(ml.RuleError, match="does not say what gamma"):
        equivalent(ml.gradient_descent, ml.heavy_ball)
    with pytest.raises(ml.RuleError, match="no output 'w'"):
        transfer_function(ml.heavy_ball, "w")

    def sign(theta, grad, *, eta):  # type: ignore[no-untyped-def]
        return (theta - eta * abs(grad(theta)),)

    with pytest.raises(ml.NotLinear, match="not linear"):
        characteristic_polynomial(Rule(sign))
