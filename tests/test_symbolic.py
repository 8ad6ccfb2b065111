"""Formulas read off the rules, held against the rules' own numbers and against the textbook."""

import math

import numpy as np
import pytest
import sympy

from momentum_lib.definition import RULES, NotLinear, Rule, RuleError
from momentum_lib.nonlinear import NONLINEAR, clipped
from momentum_lib.rules import (
    bias_corrected,
    chebyshev,
    ema,
    gradient_descent,
    heavy_ball,
    keras_nesterov,
    nesterov,
    polyak_two_step,
    torch_nesterov,
    torch_sgd,
)
from momentum_lib.runner import run
from momentum_lib.spectrum import iteration_matrix, spectral_radius
from momentum_lib.symbolic import (
    characteristic_polynomial,
    equivalent,
    jury_conditions,
    latex,
    transfer_function,
)

eta, gamma, lam, z, w, d = sympy.symbols("eta gamma lam z weight_decay dampening")


def settled(rule: Rule, rng: np.random.Generator) -> Rule:
    """Generic values in (0, 0.3): small enough that most rules are stable somewhere."""
    return rule.at(
        **{n: float(v) for n, v in zip(rule.hyper, rng.uniform(0.05, 0.3, 9), strict=False) if n != "t"}
    )


def test_textbook_polynomials():
    """Tight: the printed polynomial is the textbook's."""
    ball = z**2 - (1 + gamma - eta * lam) * z + gamma
    assert sympy.expand(characteristic_polynomial(heavy_ball) - ball) == 0
    look_ahead = z**2 - (1 + gamma) * (1 - eta * lam) * z + gamma * (1 - eta * lam)
    assert sympy.expand(characteristic_polynomial(nesterov) - look_ahead) == 0
    # A letter may be an expression, lam in it: nesterov is heavy ball with a momentum that is.
    assert (
        sympy.expand(characteristic_polynomial(heavy_ball.at(gamma=gamma * (1 - eta * lam))) - look_ahead)
        == 0
    )


@pytest.mark.parametrize("rule", RULES.values(), ids=str)
def test_polynomial_has_the_eigenvalues_as_roots(rule):
    rule = settled(rule, np.random.default_rng(1))
    polynomial = sympy.Poly(characteristic_polynomial(rule).subs(lam, sympy.Rational(3, 2)), z)
    coefficients = [float(c) for c in polynomial.all_coeffs()]
    assert np.allclose(coefficients, np.poly(iteration_matrix(rule, 1.5)), atol=1e-9)


@pytest.mark.parametrize(
    "rule", [gradient_descent, heavy_ball, nesterov, ema, torch_sgd, keras_nesterov], ids=str
)
def test_jury_conditions_are_stability(rule):
    """Tight: all conditions hold where, and only where, the spectral radius is below 1."""
    rng = np.random.default_rng(2)
    values = {n: rng.uniform(0, 5 if n == "lam" else 1, 2000) for n in ("lam", *rule.free)}
    conditions = sympy.lambdify(sympy.symbols(list(values)), [c.lhs for c in jury_conditions(rule)])
    held = np.all([np.broadcast_to(c, 2000) > 0 for c in conditions(**values)], axis=0)
    rho = spectral_radius(rule.at(**{n: values[n] for n in rule.free}), values["lam"])
    assert 0 < held.sum() < 2000
    assert (held == (rho < 1))[np.abs(rho - 1) > 1e-9].all()


@pytest.mark.parametrize(("degree", "spare"), [(3, 0), (4, 1)])
def test_no_jury_condition_can_be_dropped(degree, spare):
    """Tight on random polynomials, and each condition (of a quartic all but one) decides some of them."""
    names = [f"c{i}" for i in range(degree)]

    def companion(*state_and_grad, **c):
        *state, grad = state_and_grad
        return -sum(c[n] * s for n, s in zip(names, state, strict=True)) + 0 * grad(state[0]), *state[:-1]

    rule = Rule(companion, slots=[f"s{i}" for i in range(degree)], hyper=names)
    conditions = sympy.lambdify(sympy.symbols(names), [c.lhs for c in jury_conditions(rule)])
    values = np.random.default_rng(3).uniform(-2, 2, (degree, 5_000))
    held = np.array(conditions(*values)) > 0
    stable = np.array([np.abs(np.roots([1, *column])).max() < 1 for column in values.T])
    assert (held.all(axis=0) == stable).all()
    misled = [(np.delete(held, i, axis=0).all(axis=0) != stable).sum() for i in range(len(held))]
    assert misled.count(0) == spare


# --- the same rule? -----------------------------------------------------------------------------------


def ghost(theta, u, grad, *, eta, rate):
    return theta - eta * grad(theta), rate * u


def turning_ghost(theta, a, b, grad, *, eta):
    return theta - eta * grad(theta), (3 * a - 4 * b) / 5, (4 * a + 3 * b) / 5


def diary(theta, u, grad, *, eta, rate):
    g = grad(theta)
    return theta - eta * g, rate * u + g


def shrinking(theta, grad, *, eta):
    return (theta / 2 - eta * grad(theta),)


def nudged(theta, u, grad, *, eta):
    return theta / 2 - eta * grad(theta) + u / 4, 3 * u / 4


def corrected_average(theta, m, grad, *, eta, gamma, t):
    m = gamma * m + (1 - gamma) * grad(theta)
    return theta - eta * m / (1 - gamma**t), m


SAME, OTHER_POINT, OTHER_START, OTHER = (
    (True, True, True),
    (True, False, True),
    (True, True, False),
    (False,) * 3,
)
CORRECTION = {"eta": "eta/(1 - gamma**t)", "gamma": "gamma*(1 - gamma**(t - 1))/(1 - gamma**t)"}
DAMPED = torch_sgd.at(dampening=d)


@pytest.mark.parametrize(
    ("a", "b", "mapping", "verdict", "when"),
    [
        (heavy_ball, ema, {"eta": "eta/(1 - gamma)"}, SAME, "every t"),
        (heavy_ball, ema, {"eta": eta / (1 - gamma)}, SAME, "every t"),
        (heavy_ball, ema.at(eta=eta / (1 - gamma), gamma=gamma), None, SAME, "every t"),
        (heavy_ball.at(gamma=0.9), ema, {"eta": "eta/(1 - gamma)"}, SAME, "every t"),
        (heavy_ball, ema, None, OTHER, "every t"),
        (heavy_ball, torch_sgd, None, SAME, "every t"),
        (heavy_ball, polyak_two_step, None, SAME, "every t"),
        (nesterov, torch_nesterov, None, OTHER_POINT, "every t"),
        # The map from gradients to theta is the same; the gradients are not.
        (heavy_ball, nesterov, None, OTHER, "every t"),
        # Decoupled decay is not coupled decay, and without decay they are one.
        (torch_nesterov.at(weight_decay=w), keras_nesterov.at(weight_decay=w), None, OTHER, "every t"),
        (torch_nesterov, keras_nesterov, None, SAME, "every t"),
        # PyTorch does not damp its first step.
        (ema, torch_sgd, {"dampening": "gamma"}, OTHER_START, "every t"),
        (DAMPED, ema, {"eta": "eta*(1 - dampening)/(1 - gamma)"}, OTHER_START, "every t"),
        (DAMPED, torch_sgd, {"dampening": "dampening"}, SAME, "every t"),
        # Time: the correction fades, and is a pair of letters that change.
        (heavy_ball, bias_corrected, None, OTHER, "every t"),
        (heavy_ball, bias_corrected.at(t=math.inf), None, OTHER_START, "t → ∞"),
        (bias_corrected.at(t=1), heavy_ball, {"eta": "eta/(1 - gamma)"}, OTHER_START, "t = 1"),
        (bias_corrected.at(t=2), heavy_ball, {"eta": "eta/(1 - gamma)"}, OTHER, "t = 2"),
        (bias_corrected, heavy_ball, CORRECTION, SAME, "every t"),
        (bias_corrected, heavy_ball, {**CORRECTION, "gamma": "gamma"}, OTHER, "every t"),
        (Rule(corrected_average), bias_corrected, {"eta": "eta*(1 - gamma)"}, SAME, "every t"),
        (gradient_descent, gradient_descent, {"eta": "eta*2**(t/2)"}, OTHER, "every t"),
        (chebyshev, chebyshev, None, SAME, "every t"),
        # What no gradient excites, the start may.
        (Rule(shrinking), Rule(nudged), None, OTHER_START, "every t"),
    ],
)
def test_equivalence_is_the_whole_truth(a, b, mapping, verdict, when):
    """And every letter of it is on the printed answer."""
    found = equivalent(a, b, mapping)
    assert (found.queries, found.iterate, found.same_first_step) == verdict and found.when == when
    assert bool(found) == all(verdict)
    assert all(
        f"{name}={value!r}" in repr(found) for name, value in zip(vars(found), (*verdict, when), strict=False)
    )


def test_what_equivalence_says_of_the_start_is_what_runs_do():
    """Tight: same from the start, or parted by the first step, as the verdict has it."""
    slope = np.random.default_rng(4).uniform(0, 1, 9)

    class Slopes:
        def at_step(self, t, rng):
            return lambda theta: slope[t - 1] * theta

        __call__ = None

    def parted(a, b):
        thetas = [run(rule, Slopes(), 1.0, 9).theta for rule in (a, b)]
        return np.abs(thetas[0] - thetas[1]).max() > 1e-12

    plain = {"eta": 0.5, "gamma": 0.75}
    assert not parted(heavy_ball.at(**plain), ema.at(eta=2.0, gamma=0.75))
    assert parted(ema.at(**plain), torch_sgd.at(**plain, dampening=0.75))
    assert parted(heavy_ball.at(**plain), bias_corrected.at(**plain))


@pytest.mark.parametrize(
    ("rule", "mapping", "same", "hidden"),
    [
        (heavy_ball, {"gamma": 0}, True, z),
        (Rule(diary), {"rate": "rate"}, True, z - sympy.Symbol("rate")),
        (Rule(ghost), {"rate": "1/2"}, True, z - sympy.Rational(1, 2)),
        (Rule(ghost), {"rate": 2}, False, z - 2),
        (Rule(ghost), {"rate": -1}, False, z + 1),  # modulus 1, exactly
        (Rule(turning_ghost), {}, False, z**2 - 6 * z / 5 + 1),  # a pair of modulus 1
    ],
)
def test_hidden_modes_are_told_and_those_that_stay_refused(rule, mapping, same, hidden):
    found = equivalent(gradient_descent, rule, mapping)
    assert found.gaps == {"queries": 0, "iterate": 0}
    assert bool(found) == same and sympy.expand(found.hidden[1] - hidden) == 0
    assert found.minimal == (True, hidden == z)


def test_transfer_function_reproduces_a_run():
    """Tight: the impulse response of the transfer function is what one gradient does to theta."""
    plain = heavy_ball.at(gamma=0.5, eta=1)
    series = sympy.series(transfer_function(plain).subs(z, 1 / lam), lam, 0, 6).removeO()

    class Pulse:
        def at_step(self, t, rng):
            return lambda x: 0 * x + (t == 1)

        __call__ = staticmethod(np.zeros_like)

    theta = run(plain, Pulse(), 0.0, 5).theta
    assert np.allclose(theta[1:], [float(series.coeff(lam, k)) for k in range(1, 6)], atol=1e-15)


@pytest.mark.parametrize("output", ["theta", "v", "query"])
def test_transfer_function_is_the_resolvent(output):
    """Tight: c (z - A)^-1 b, by its definition."""
    from momentum_lib.spectrum import probe

    a, b, c, _ = probe(nesterov.at(eta=eta, gamma=gamma))
    row = c if output == "query" else sympy.eye(2)[("theta", "v").index(output), :]
    wanted = (row * (z * sympy.eye(2) - a).inv() * b)[0]
    assert sympy.simplify(transfer_function(nesterov, output) - wanted) == 0


def test_two_reads_a_step_have_a_matrix():
    def extragradient(theta, grad, *, eta):
        return (theta - eta * grad(theta - eta * grad(theta)),)

    found = transfer_function(Rule(extragradient), "query")
    assert found.shape == (2, 2) and sympy.simplify(found[1, 0] + eta) == 0
    assert sympy.simplify(found[0, 1] + eta / (z - 1)) == 0


@pytest.mark.parametrize("rule", RULES.values(), ids=str)
def test_every_rule_is_itself(rule):
    assert equivalent(rule, rule)


# --- printing ----------------------------------------------------------------------------------------


def test_latex_of_every_rule_shows_its_gradient_and_slots():
    for rule in RULES.values():
        text = latex(rule)
        assert r"\nabla f" in text and r"\theta_{t} &=" in text and "t+1" not in text
        assert "- -" not in text and "+ -" not in text


@pytest.mark.parametrize(
    ("what", "text"),
    [
        (nesterov, r"v_{t} &= \gamma v_{t-1} + \eta \nabla f\left(\theta_{t-1} - \gamma v_{t-1}\right)"),
        (polyak_two_step, r"- \gamma \theta_{t-2} + \left(1 + \gamma\right) \theta_{t-1}"),
        (bias_corrected, r"\theta_{t} &= \theta_{t-1} - \frac{v_{t}}{1 - \gamma^{t}}"),
        (DAMPED, r"b_{t} &= \gamma b_{t-1} + \nabla f\left(\theta_{t-1}\right) && (t = 1)"),
        (heavy_ball.at(gamma=lambda t: 1 / t), r"\gamma_{t} v_{t-1}"),
        (heavy_ball.at(gamma=0.5), r"\frac{v_{t-1}}{2}"),
        (eta * lam > d, r"\eta \lambda > \tau"),
        ("eta/(1 - gamma)", r"\frac{\eta}{1 - \gamma}"),
    ],
    ids=str,
)
def test_latex_in_the_index_of_the_cards(what, text):
    """v_t = gamma v_{t-1} + eta grad(theta_{t-1}), theta_t = theta_{t-1} - v_t."""
    assert text in latex(what)


# --- what is refused ---------------------------------------------------------------------------------

ATTACKS = [
    "__import__('os').getpid()",
    "eta.__class__",
    "exec('1')",
    "eta if gamma else eta",
    "[eta]",
    "9**9**9",
]


@pytest.mark.parametrize("text", ATTACKS)
def test_no_text_is_evaluated(text):
    for call in (
        lambda: equivalent(heavy_ball, ema, {"eta": text}),
        lambda: latex(text),
        lambda: characteristic_polynomial(heavy_ball.at(eta=text)),
        lambda: equivalent(heavy_ball, ema.at(eta=text)),
    ):
        with pytest.raises(RuleError, match=r"is no formula; write names|, a text; give a number"):
            call()


def sign(theta, grad, *, eta):
    return (theta - eta * abs(grad(theta)),)


def sign_in_time(theta, grad, *, eta, t):
    return (theta - eta / t * abs(grad(theta)),)


def switched(theta, grad, *, eta, t):
    return (theta - (eta if t > 3 else 2 * eta) * grad(theta),)


def regularized(theta, grad, *, eta, lam):
    return (theta - eta * (grad(theta) + lam * theta),)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: characteristic_polynomial("heavy_ball"), RuleError, r'take RULES\["heavy_ball"\]'),
        (
            lambda: characteristic_polynomial(heavy_ball.at(eta=[1, 2])),
            RuleError,
            "takes one number or symbol",
        ),
        (lambda: characteristic_polynomial(Rule(regularized)), RuleError, "formulas have a lam of their own"),
        (lambda: characteristic_polynomial(Rule(sign)), NotLinear, "not linear"),
        (lambda: transfer_function(heavy_ball, "w"), RuleError, "no output 'w'"),
        (lambda: equivalent(gradient_descent, heavy_ball), RuleError, "does not say what gamma"),
        (lambda: equivalent(heavy_ball, ema, {"eta": "etta"}), RuleError, "etta is no letter of heavy_ball"),
        (lambda: equivalent(heavy_ball, ema, {"lr": "eta"}), RuleError, "here it is eta"),
        (
            lambda: equivalent(heavy_ball, heavy_ball.at(eta=abs)),
            RuleError,
            "eta of heavy_ball is a schedule",
        ),
        (lambda: equivalent(heavy_ball, Rule(switched)), RuleError, "takes no symbol for t"),
        (lambda: equivalent(heavy_ball, Rule(sign_in_time)), NotLinear, "not linear"),
    ],
)
def test_refusals(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call()


@pytest.mark.parametrize("rule", [*NONLINEAR.values(), clipped(heavy_ball)], ids=repr)
def test_a_rule_beyond_arithmetic_is_told_that_it_is_not_linear(rule):
    """Symbols break inside its functions; what is told is why, and a linear rule is told of its functions."""
    for ask in (characteristic_polynomial, jury_conditions, transfer_function, lambda r: equivalent(r, r)):
        with pytest.raises(NotLinear, match=f"{rule.name} (is not linear in|cannot be probed on)"):
            ask(rule)
    with pytest.raises(NotLinear, match=f"{rule.name} does more than arithmetic"):
        latex(rule)
    with pytest.raises(RuleError, match="rooted cannot compute with symbols") as caught:
        ask(Rule(rooted))
    assert not isinstance(caught.value, NotLinear)


def rooted(theta, grad, *, eta):
    return theta - np.sqrt(eta) * grad(theta)


def test_floats_are_the_fractions_they_were_written_as():
    near = characteristic_polynomial(heavy_ball.at(gamma=1 - 2**-30))
    assert sympy.Poly(near, sympy.Symbol("z")).eval(0) != 1
