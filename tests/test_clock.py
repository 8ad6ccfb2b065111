"""Time in one place, what t → infinity is, and which letter does what."""

import itertools
import math

import numpy as np
import pytest
import sympy

from momentum_lib.clock import Clock, a_rule, count_of, numbers, real, standing
from momentum_lib.definition import RULES, NotLinear, Rule, RuleError
from momentum_lib.nonlinear import NONLINEAR
from momentum_lib.rules import bias_corrected, chebyshev, heavy_ball, mass, pid, torch_sgd
from momentum_lib.runner import run
from momentum_lib.schedules import nesterov_sequence, warmup
from momentum_lib.spectrum.probing import iteration_matrix, probe
from momentum_lib.spectrum.stability import spectral_radius, stability_limit

AT = {"eta": 0.1, "gamma": 0.9}

# --- the count, the first step, the schedules ---------------------------------------------------------


def test_a_clock_reads_every_letter_at_its_step():
    rule = torch_sgd.at(eta=warmup(0.4, 4), gamma=[0.5, 0.9], dampening=0.5)
    clock = Clock(rule, lambda name, value: np.asarray(value))
    assert [clock.letters(t)["eta"] for t in (1, 2, 9)] == [0.1, 0.2, 0.4]
    assert (clock.body(1), clock.body(2)) == (rule.first_step, rule.step)
    assert (clock.shape, clock.varies, Clock(heavy_ball.at(**AT)).varies) == ((2,), True, False)
    table = clock.table([1, 2, 3])
    assert table["gamma"].shape == (3, 2)
    assert table["eta"].tolist() == pytest.approx([0.1, 0.2, 0.3])
    assert ("t" in clock.letters(3), Clock(bias_corrected.at(**AT)).letters(3)["t"]) == (False, 3)
    damped = Clock(torch_sgd.at(eta=1, gamma=0, dampening=0.5))
    assert [damped.advance((0, 0), lambda x: 1, t) for t in (1, 2)] == [(-1, 1), (-0.5, 0.5)]


def test_frozen_rules_are_read_as_they_are_at_that_step():
    for t, (eta, begins) in {1: (0.1, True), 3: (0.3, False)}.items():
        step, letters = standing(torch_sgd.at(eta=warmup(0.4, 4), gamma=0.9, dampening=0.5, t=t))
        assert (letters["eta"], step is torch_sgd.first_step) == (pytest.approx(eta), begins)
    assert standing(torch_sgd.at(**AT))[0] is torch_sgd.step, "unfrozen: the body"
    at_three = iteration_matrix(bias_corrected.at(**AT, t=3), 1.0)
    assert at_three[0, 0] == pytest.approx(1 - 0.1 / (1 - 0.9**3), rel=1e-15)
    assert iteration_matrix(heavy_ball.at(eta=warmup(0.4, 4), gamma=0.5, t=math.inf), 1.0)[1, 0] == 0.4


@pytest.mark.parametrize(
    ("letters", "sentence"),
    [
        (
            {"eta": warmup(0.4, 4)},
            r"eta of heavy_ball is a schedule, .*\.at\(t=\.\.\.\), or give",
        ),
        ({"eta": lambda t: math.nan, "t": 3}, r"heavy_ball got eta=nan; give finite"),
        ({"eta": lambda t: None, "t": 3}, r"heavy_ball got eta=None, no number"),
        ({"eta": lambda t: (-1) ** t, "t": math.inf}, r"eta of heavy_ball does not settle as t → ∞"),
        ({"gamma": nesterov_sequence(), "t": math.inf}, r"nesterov_sequence is a table up to step"),
    ],
)
def test_a_schedule_without_a_value_is_refused(letters, sentence):
    with pytest.raises(ValueError, match=sentence):
        standing(heavy_ball.at(**{**AT, **letters}))


@pytest.mark.parametrize(
    ("thing", "sentence"),
    [
        ("heavy_ball", r"'heavy_ball' is a name, not a rule; take RULES\[\"heavy_ball\"\]"),
        (heavy_ball.step, r"<function .*> is not a rule; decorate the step with @rule"),
        (RULES, r"^\{.{0,150}\} is not a rule"),
        (None, r"None is not a rule"),
    ],
)
def test_what_is_no_rule_is_refused_alike_everywhere(thing, sentence):
    for use in (a_rule, standing, Clock, probe, lambda rule: run(rule, abs, 1.0, 1)):
        with pytest.raises(RuleError, match=sentence):
            use(thing)
    with pytest.raises(RuleError, match=r"bias_corrected\(.*\) is frozen at t=2, and a run counts itself"):
        Clock(bias_corrected.at(**AT, t=2))


def test_a_count_is_whole():
    assert {count_of("n", n) for n in (3, np.int8(3), np.array(3), sympy.Integer(3))} == {3}
    for value in (3.0, True, np.True_, "3", None, -1, [3], np.float64(3), 2**60, math.inf):
        with pytest.raises(ValueError, match=r"n is .*; give a whole number of at (least 0|most 2\*\*53)\.$"):
            count_of("n", value)
    with pytest.raises(ValueError, match="every is 0; give a whole number of at least 1"):
        count_of("every", 0, 1)


@pytest.mark.parametrize(
    ("given", "bounds", "says"),
    [
        *((value, {}, "give one finite number") for value in ("1", None, [1.0], 1j, {}, 10**400, math.inf)),
        (math.nan, {"least": 0}, "x is nan; give one finite number of at least 0"),
        (-1, {"least": 0}, "x is -1; give one finite number of at least 0"),
        (0, {"above": 0}, "x is 0; give one finite number above 0"),
        ("1", {"finite": False}, "x is '1'; give one number"),
    ],
)
def test_one_real_number_is_read_in_one_place(given, bounds, says):
    with pytest.raises(RuleError, match=rf"{says}\.$"):
        real("x", given, **bounds)


def test_what_is_one_real_number_is_read_as_a_float():
    assert [real("x", 0, least=0), real("x", np.float32(0.5), above=0)] == [0, 0.5]
    assert real("x", sympy.Rational(1, 2)) == real("x", np.array(0.5)) == 0.5
    assert real("x", -math.inf, finite=False) == -math.inf and math.isnan(real("x", math.nan, finite=False))


def test_what_is_no_array_of_numbers_is_refused():
    for value in ("1", None, [1, None], np.array([1, "2"], object), [[1], [2, 3]], {}, 10**400, min):
        for read in (numbers, lambda name, lam: iteration_matrix(heavy_ball.at(**AT), lam)):
            with pytest.raises(RuleError, match=r"lam is .*; give a number or an array of numbers"):
                read("lam", value)


# --- t → infinity -------------------------------------------------------------------------------------


def counting(factor):
    """Heavy ball whose momentum is `factor` of gamma and t."""
    return Rule(
        lambda theta, v, grad, *, eta, gamma, t: (theta - v, factor(gamma, t) * v + eta * grad(theta)),
        name="counting",
    )


@pytest.mark.parametrize(
    ("factor", "of_numbers", "of_symbols"),
    [
        (lambda g, t: (t - 1) / (t + 2), 1, 1),
        (lambda g, t: g * (t**2 + 1) / (t**2 + t), 0.9, 0.9),
        (lambda g, t: g * t**3 / (t + 1) ** 3, 0.9, 0.9),
        (lambda g, t: 1 - 1 / t**0.5, 1, 1),
        (lambda g, t: g**t, 0, 0),
        (lambda g, t: g * (1 - g ** (t - 1)) / (1 - g**t), 0.9, 0.9),
        (lambda g, t: g * (1 - 2 ** (-t)), 0.9, 0.9),
        (lambda g, t: (t + 1) - t, None, 1),  # floats cancel: no number is given for it
        (lambda g, t: t * ((t + 1) / t - 1), None, 1),
        (lambda g, t: g * (1 - 1 / t**0.1), None, 0.9),  # too slow for 2^100
        (lambda g, t: g * (1 - np.exp(-t)), 0.9, None),
        (lambda g, t: g if t > 5 else 0, 0.9, None),
        (lambda g, t: g * t, None, None),
        (lambda g, t: g * t**t, None, None),
        (lambda g, t: g * (-1) ** t, None, None),
        (lambda g, t: g * (t % 2), None, None),
        (lambda g, t: np.sin(t), None, None),
        (lambda g, t: 1 / (1 - (g / g) ** t), None, None),
    ],
)
def test_the_limit_is_a_limit(factor, of_numbers, of_symbols):
    eta, gamma = sympy.symbols("eta gamma", positive=True)
    for letters, limit in ((AT, of_numbers), ({"eta": eta, "gamma": gamma}, of_symbols)):
        read = counting(factor).at(**letters)
        if limit is None:
            with pytest.raises(RuleError, match=r"^counting (does not settle as t → ∞|cannot compute)"):
                iteration_matrix(read, 1.0)
        else:
            found = sympy.sympify(iteration_matrix(read, 1.0)[1, 1]).subs(gamma, 0.9)
            assert float(found) == pytest.approx(limit, abs=1e-14)


def test_the_textbook_sequence_is_read_at_momentum_one():
    """Su, Boyd and Candès' (t-1)/(t+2) under Nesterov's look-ahead: radius sqrt(.9), limit 4/3."""

    def textbook(theta, v, grad, *, eta, t):
        gamma = (t - 1) / (t + 2)
        v = gamma * v + eta * grad(theta - gamma * v)
        return theta - v, v

    assert spectral_radius(Rule(textbook).at(eta=1.0), 0.1) == pytest.approx(math.sqrt(0.9), rel=1e-12)
    assert stability_limit(Rule(textbook)) == pytest.approx(4 / 3, rel=1e-9)


@pytest.mark.parametrize("gamma", [0.5, -0.5, 1 - 2.0**-30, 1 - 2.0**-40, 1 - 2.0**-53, 1.0, -1.0])
def test_a_momentum_next_to_one_is_not_rounded_to_it(gamma):
    for eta, near in ((sympy.Symbol("h"), 0), (0.1, 1e-13)):
        rule = bias_corrected.at(eta=eta, gamma=gamma)
        if 1 - abs(gamma) > near:
            assert float(iteration_matrix(rule, 1)[1, 1]) == gamma
        else:
            with pytest.raises(RuleError, match="bias_corrected does not settle"):
                iteration_matrix(rule, 1)


def test_a_letter_called_t_is_no_step_count():
    t = sympy.Symbol("t", positive=True)
    assert iteration_matrix(bias_corrected.at(eta=t, gamma=0.5), 1)[1, 0] == t
    mu, L = sympy.symbols("mu L", positive=True)
    at_infinity = probe(chebyshev.at(mu=mu, L=L)).B[0].subs({mu: 1, L: 9})
    assert float(at_infinity) == pytest.approx(-4 / 16, rel=1e-15), "Polyak's eta"


H = {"eta": sympy.Symbol("h")}


@pytest.mark.parametrize(
    ("letters", "lam", "sentence"),
    [
        (H, "1 + 1", r"lam is .*; beside symbols, give one number or expression"),
        (H, [1, 2], r"lam is \[1, 2\]; beside symbols"),
        (H, math.nan, r"lam is nan; beside symbols"),
        (H | {"gamma": [0.1, 0.9]}, 1, r"gamma is \(0\.1, 0\.9\); beside symbols"),
        ({}, math.inf, r"lam contains inf; give a finite curvature"),
        ({"eta": [0.1, 0.2]}, [1, 2, 3], r"lam and the letters must broadcast"),
    ],
)
def test_a_curvature_that_is_none_is_refused(letters, lam, sentence):
    """No text is ever evaluated; an empty map is no mistake."""
    with pytest.raises(RuleError, match=sentence):
        iteration_matrix(heavy_ball.at(**{**AT, **letters}), lam)
    assert iteration_matrix(heavy_ball.at(eta=np.zeros(0), gamma=0.9), 1.0).shape == (0, 2, 2)


CALLS = itertools.count(1)
BENDS = [np.abs, np.tanh, lambda g: np.maximum(g, 0), lambda g: np.minimum(g, 100), lambda g: g + 1e-6]
SCALAR_BENDS = [lambda g: max(g, 0), lambda g: g if g < 100 else 100, lambda g: g / next(CALLS)]


@pytest.mark.parametrize(
    ("bend", "lam"), [*itertools.product(BENDS, (1.0, [0.5, 1.0])), *((bend, 1.0) for bend in SCALAR_BENDS)]
)
def test_what_bends_anywhere_is_not_linear(bend, lam):
    with pytest.raises(NotLinear, match="not linear in its state and gradient"):
        iteration_matrix(Rule(lambda theta, grad, *, eta: theta - eta * bend(grad(theta))).at(eta=0.1), lam)


def in_place(theta, v, grad, *, eta, gamma):
    v *= gamma
    v += eta * grad(theta)
    theta -= v
    return theta, v


def by_its_last_step(theta, v, grad, *, eta, gamma):
    before = theta
    theta += -gamma * v - eta * grad(theta)
    return theta, before - theta


def of_floats(theta, v, grad, *, eta, gamma):
    v = float(gamma) * float(v) + math.sqrt(eta) ** 2 * float(grad(theta))
    return theta - v, v


def that_branches(theta, v, grad, *, eta, gamma):
    v = gamma * v + eta * grad(theta) if theta > 0 else eta * grad(theta) + gamma * v
    return min(theta - v, theta - v), v


@pytest.mark.parametrize("step", [in_place, by_its_last_step, of_floats, that_branches])
def test_a_linear_rule_that_takes_no_arrays_is_read_like_any(step):
    expected = iteration_matrix(heavy_ball.at(**AT), 0.5)
    np.testing.assert_allclose(iteration_matrix(Rule(step).at(**AT), 0.5), expected, rtol=1e-15)


# --- which letter does what ---------------------------------------------------------------------------

#: Step size | momentum, where they are not eta | gamma.
LETTERS = {
    "gradient_descent": "eta |", "aggregated": "eta |", "gradient_restart": "eta |", "fixed_restart": "eta |",
    "qhm": "alpha | beta", "triple_momentum": "alpha | beta", "robust_momentum": "alpha | beta",
    "ogm": "alpha | beta", "primal_average": "eta | c", "accsgd": "delta | kappa xi", "lion": "eta | beta2",
    "item": "eta | q beta delta", "mass": "eta1 eta2 | gamma", "pid": "k_p k_i k_d | beta",
    "optimistic_gradient": "eta |", "schedule_free": "eta |", "averaged_heavy_ball": "eta | gamma k",
    "ema_mixture": "eta | beta1 beta3", "chebyshev": "| mu L",
    **dict.fromkeys(("adam", "adamw", "nadam"), "eta | beta1 beta2"),
}  # fmt: skip


@pytest.mark.parametrize("rule", [*RULES.values(), *NONLINEAR.values()], ids=repr)
def test_step_size_and_momentum_are_computed(rule):
    steps, momenta = LETTERS.get(rule.name, "eta | gamma").split("|")
    assert rule.step_letters == rule.at(t=3).step_letters == tuple(steps.split())
    assert rule.momentum_letters == rule.at(t=3).momentum_letters == tuple(momenta.split())


def test_what_is_read_and_what_is_reported_both_scale_with_the_step():
    extra = Rule(lambda theta, grad, *, eta, h: theta - eta * grad(theta - h * grad(theta)))
    apart = Rule(lambda theta, x, grad, *, eta, h: (x - h * grad(x), x - eta * grad(x)))
    assert extra.step_letters == apart.step_letters == ("eta", "h")


def test_a_letter_may_be_called_anything():
    """The names that functions of the library give their own arguments."""

    def odd(theta, v, grad, *, lr, mu, L, start, tol, steps, lam, sigma, theta0, rho, cap, which, rule, t0):
        unused = L * start * tol * steps * lam * sigma * theta0 * rho * cap * which * rule * t0
        v = mu * v + lr * grad(theta)
        return theta - v + 0 * unused, v

    rest = dict.fromkeys(Rule(odd).hyper[2:], 0.5)
    made, ours = Rule(odd).at(lr=0.1, mu=0.9, **rest), heavy_ball.at(**AT)
    assert (made.step_letters, made.momentum_letters) == (("lr",), ("mu",))
    one, other = (run(r, lambda x: 3 * x, [1.0, -2.0], 30).theta for r in (made, ours))
    assert np.array_equal(one, other)
    assert np.array_equal(probe(made).A, probe(ours).A)
    assert spectral_radius(made, 0.7) == spectral_radius(ours, 0.7)
    assert stability_limit(Rule(odd).at(mu=0.9, **rest)) == stability_limit(heavy_ball.at(gamma=0.9))


LOOK_AHEAD = "Nesterov's look-ahead is a rule of its own: nesterov, torch_nesterov or keras_nesterov"


@pytest.mark.parametrize(
    ("rule", "name", "answer"),
    [
        *((heavy_ball, n, "here it is eta") for n in ("lr", "learning_rate", "alpha", "step_size", "step")),
        *((heavy_ball, n, "here it is gamma") for n in ("momentum", "mu", "beta", "beta1", "beta_1")),
        (heavy_ball, "gama", "did you mean gamma"),
        (heavy_ball, "L", "it takes eta, gamma"),
        (heavy_ball, "nesterov", LOOK_AHEAD),
        (heavy_ball, "weight_decay", "torch_sgd and keras_sgd have one"),
        (torch_sgd, "maximize", "turn the sign of the gradient instead"),
        (RULES["qhm"], "eta", "here it is alpha"),
        (RULES["qhm"], "gamma", "here it is beta"),
        (RULES["gradient_descent"], "momentum", "it takes eta"),
        (mass, "lr", "here eta1 and eta2 share its part"),
        (pid, "lr", "here k_p and k_i and k_d share its part"),
        (chebyshev, "x", "it takes mu, L"),
        (Rule(lambda theta, grad: theta), "lr", "it takes none"),
    ],
    ids=str,
)
def test_other_peoples_letters_are_answered_with_ours(rule, name, answer):
    with pytest.raises(RuleError) as caught:
        rule.at(**{name: 0.1})
    assert str(caught.value) == f"{rule.name} has no hyper-parameter {name!r}; {answer}."
    for letters in ({"lr": 0.1, "eta": 0.1}, {"eta": 0.1, "lr": 0.1, "gamma": 0.9}):
        with pytest.raises(
            RuleError, match="heavy_ball got lr and eta, two names of one letter; give eta alone"
        ):
            heavy_ball.at(**letters)
