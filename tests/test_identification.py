"""Which method is it? Rules in a student's letters, told by their transfer functions."""

import math

import numpy as np
import pytest
import sympy

from momentum_lib.conversions import CONVERSIONS, formula
from momentum_lib.definition import RULES, NotLinear, Rule, RuleError
from momentum_lib.identification import identify, qhm_letters
from momentum_lib.rules import (
    accsgd,
    aggregated,
    bias_corrected,
    ema,
    ema_mixture,
    gradient_descent,
    heavy_ball,
    keras_nesterov,
    keras_sgd,
    mass,
    nesterov,
    ogm,
    optimistic_gradient,
    pid,
    qhm,
    robust_momentum,
    torch_nesterov,
    torch_sgd,
    triple_momentum,
)
from momentum_lib.runner import run
from momentum_lib.symbolic import equivalent

a, b, c, d, lr, m, wd, eta, gamma = sympy.symbols("a b c d lr m wd eta gamma")
#: Whether theta and the first step are the same, and when.
SAME, OTHER_POINT, OTHER_START = (True, True, "every t"), (False, True, "every t"), (True, False, "every t")


def ball(theta, v, grad, *, lr, m):
    v = m * v - lr * grad(theta)
    return theta + v, v


def average(theta, v, grad, *, lr, m):
    v = m * v + (1 - m) * grad(theta)
    return theta - lr * v, v


def look_ahead(theta, v, grad, *, lr, m):
    v = m * v - lr * grad(theta + m * v)
    return theta + v, v


def seen_from_ahead(theta, v, grad, *, lr, m):
    g = grad(theta)
    v = m * v - lr * g
    return theta + m * v - lr * g, v


def half_way(theta, v, grad, *, lr, m):
    v = m * v + lr * grad(theta - m * v / 2)
    return theta - v, v


def mixed(theta, v, grad, *, a, m, c):
    g = grad(theta)
    v = m * v + (1 - m) * g
    return theta - a * v - c * g, v


def reported_behind(theta, x, v, grad, *, lr, m):
    v = m * v + lr * grad(x)
    return x, x - v, v


def decay_inside(theta, v, grad, *, lr, m, wd):
    v = m * v + grad(theta) + wd * theta
    return theta - lr * v, v


def decay_outside(theta, v, grad, *, lr, m, wd):
    v = m * v + lr * grad(theta)
    return theta - v - lr * wd * theta, v


def decay_outside_ahead(theta, v, grad, *, lr, m, wd):
    g = grad(theta)
    v = m * v + lr * g
    return theta - lr * wd * theta - m * v - lr * g, v


def decay_alone(theta, grad, *, lr, wd):
    return (theta - lr * (grad(theta) + wd * theta),)


def two_velocities(theta, u, v, grad, *, a, b, c):
    g = grad(theta)
    u, v = b * u + a * g, c * v + a * g
    return theta - (u + v) / 2, u, v


def three_numbers(theta, u, v, grad, *, lr):
    g = grad(theta)
    u, v = u / 2 + g, 9 * v / 10 + g
    return theta - lr * (g + u + v) / 3, u, v


def no_letters(theta, u, v, grad):
    g = grad(theta)
    u, v = u / 3 + 0.1 * g, 0.7 * v + g / 10
    return theta - (u + v) / 2, u, v


def controller(theta, e, v, grad, *, a, b, c, d):
    g = grad(theta)
    new = d * v + (1 - d) * (g - e)
    return theta - a * (g - e) - b * g - c * (new - v), g, new


def third_point(theta, x, x_prev, grad, *, a, b, c, d):
    new = (1 + b) * x - b * x_prev - a * grad((1 + c) * x - c * x_prev)
    return (1 + d) * new - d * x, new, x


def corrected_average(theta, v, grad, *, lr, m, t):
    v = m * v + (1 - m) * grad(theta)
    return theta - lr * v / (1 - m**t), v


def settling(theta, v, grad, *, lr, m, t):
    v = m * v + lr * t / (t + 1) * grad(theta)
    return theta - v, v


def damp(theta, v, grad, *, lr, m, d):
    v = m * v + (1 - d) * grad(theta)
    return theta - lr * v, v


def jump(theta, v, grad, *, lr, m):
    v = m * v + lr * grad(theta)
    return theta - v, v


damped, jumping = Rule(damp), Rule(jump)


@damped.first
def undamped(theta, v, grad, *, lr, m, d):
    v = grad(theta)
    return theta - lr * v, v


@jumping.first
def far(theta, v, grad, *, lr, m):
    return theta - 3 * grad(theta), 0 * v


def optimistic(theta, g_prev, grad, *, eta):
    g = grad(theta)
    return theta - 2 * eta * g + eta * g_prev, g


@pytest.mark.parametrize(
    ("rule", "method", "mapping", "verdict"),
    [
        (ball, heavy_ball, {"eta": lr, "gamma": m}, SAME),
        (average, ema, {"eta": lr, "gamma": m}, SAME),
        (look_ahead, nesterov, {"eta": lr, "gamma": m}, SAME),
        (seen_from_ahead, torch_nesterov, {"eta": lr, "gamma": m}, SAME),
        (half_way, robust_momentum, {"alpha": lr, "beta": m, "gamma": m / 2}, SAME),
        (mixed, qhm, {"alpha": a + c, "beta": m, "nu": a / (a + c)}, SAME),
        (reported_behind, heavy_ball, {"eta": lr, "gamma": m}, OTHER_POINT),
        (decay_inside, torch_sgd, {"eta": lr, "gamma": m, "weight_decay": wd}, SAME),
        (decay_outside, keras_sgd, {"eta": lr, "gamma": m, "weight_decay": wd}, SAME),
        (decay_outside_ahead, keras_nesterov, {"eta": lr, "gamma": m, "weight_decay": wd}, SAME),
        (decay_alone, torch_sgd, {"eta": lr, "gamma": 0, "weight_decay": wd}, SAME),
        (two_velocities, "aggregated((b, c))", {"eta": a}, SAME),
        (three_numbers, "aggregated((0, 0.5, 0.9))", {"eta": lr}, SAME),
        (no_letters, "aggregated((0.3333333333333333, 0.7))", {"eta": sympy.Rational(1, 10)}, SAME),
        (controller, pid, {"k_p": a, "k_i": b, "k_d": c, "beta": d}, SAME),
        (third_point, triple_momentum, {"alpha": a, "beta": b, "gamma": c, "delta": d}, SAME),
        (corrected_average, bias_corrected, {"eta": lr * (1 - m), "gamma": m}, SAME),
        (settling, heavy_ball, {"eta": lr, "gamma": m}, (True, False, "t → ∞")),
        (damped, torch_sgd, {"eta": lr, "gamma": m, "dampening": d}, SAME),
        (damped.at(d=0), heavy_ball, {"eta": lr, "gamma": m}, SAME),
        (jumping, heavy_ball, {"eta": lr, "gamma": m}, OTHER_START),
        (optimistic, optimistic_gradient, {"eta": eta, "gamma": 1}, OTHER_START),
        # At a setting a rule may be a simpler one.
        (heavy_ball.at(gamma=0), gradient_descent, {"eta": eta}, SAME),
        (qhm.at(nu=1), ema, {"eta": sympy.Symbol("alpha"), "gamma": sympy.Symbol("beta")}, SAME),
        (bias_corrected.at(t=math.inf), bias_corrected, {"eta": eta, "gamma": gamma}, (True, True, "t → ∞")),
    ],
)
def test_a_known_method_is_recognized(rule, method, mapping, verdict):
    """The letters, whether the point and the first step are the same, and when: each is proved besides."""
    found = identify(rule if isinstance(rule, Rule) else Rule(rule))
    assert found and str(found.rule.base) == str(method)
    assert found.mapping.keys() == mapping.keys()
    assert all(sympy.simplify(found.mapping[n] - v) == 0 for n, v in mapping.items())
    assert (found.iterate, found.same_first_step, found.when) == verdict
    assert str(found.rule) in repr(found) and ("another theta" in repr(found)) == (not found.iterate)
    assert ("from the first step on" in repr(found)) == (verdict[1:] == (True, "every t"))


@pytest.mark.parametrize("rule", RULES.values(), ids=str)
def test_every_shipped_rule_is_itself(rule):
    found = identify(rule)
    assert found.rule.base is rule and (found.iterate, found.same_first_step, found.when) == SAME
    assert found.mapping == {name: sympy.Symbol(name) for name in rule.free}


def test_a_mixture_is_itself_at_numbers_too_and_no_mean_of_21_velocities():
    mixture = ema_mixture.at(eta=0.1, alpha=5, beta1=0.9, beta3=0.999)
    assert identify(mixture).rule.base is ema_mixture


def test_what_is_found_runs():
    """Numbers in, numbers out: the method takes the very steps."""
    rule = Rule(three_numbers).at(lr=0.1)
    found, asked = (run(r, lambda x: x, np.ones(2), 9).theta for r in (identify(rule).rule, rule))
    assert np.allclose(found, asked)


def two_weights(theta, u, v, grad, *, a, b, c, d):
    g = grad(theta)
    u, v = b * u + a * g, d * v + c * g
    return theta - u - v, u, v


def extragradient(theta, grad, *, eta):
    return (theta - eta * grad(theta - eta * grad(theta)),)


def ghost(theta, u, grad, *, eta):
    return theta - eta * grad(theta), -u


def textbook(theta, v, grad, *, eta, t):
    gamma = (t - 1) / (t + 2)
    v = gamma * v + eta * grad(theta - gamma * v)
    return theta - v, v


def alternating(theta, grad, *, eta, t):
    return (theta - eta * (2 + (-1) ** t) * grad(theta),)


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (two_weights, "it has 2 memories; qhm has one"),
        (extragradient, "it reads the gradient 2 times a step, and no rule here does"),
        (ghost, r"it reads the gradients of gradient_descent\(eta=eta\) and hides a mode .* z \+ 1"),
        (textbook, "as t → ∞ it never forgets a gradient"),
        (alternating, "as t → ∞ it does not settle"),
    ],
)
def test_a_new_rule_is_new_with_the_reason(rule, reason):
    found = identify(Rule(rule))
    assert not found and found.rule is None and found.mapping == {}
    with pytest.raises(AssertionError, match=f"^{rule.__name__} is new: {reason}"):
        raise AssertionError(repr(found))


# --- the three letters --------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [accsgd, ogm, robust_momentum, mass, torch_nesterov, heavy_ball], ids=str)
def test_letters_agree_with_the_typed_maps(rule):
    own = {name: sympy.Symbol(name) for name in rule.hyper}
    for letter, value in qhm_letters(rule).items():
        typed = formula(CONVERSIONS[rule, qhm].there.get(letter, letter), own.__getitem__, sympy.Rational)
        assert sympy.simplify(typed - value) == 0


def test_letters_read_the_same_gradients():
    letters = qhm_letters(Rule(half_way))
    assert letters["nu"] == (m + 1) / 2 and equivalent(Rule(half_way), qhm, letters).queries
    assert qhm_letters(gradient_descent)["beta"] == 0


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (aggregated((0, 0.9, 0.99)), "aggregated has 2 memories"),
        (keras_sgd.at(weight_decay=wd), "keras_sgd does not rest at zero gradient .* pulls it"),
        (Rule(optimistic), "optimistic remembers a gradient but no sum of them"),
        (robust_momentum.at(beta=0), "robust_momentum remembers a gradient but no sum"),
        (heavy_ball.at(gamma=1), "heavy_ball never forgets a gradient"),
    ],
    ids=str,
)
def test_letters_are_refused(rule, sentence):
    with pytest.raises(ValueError, match=sentence):
        qhm_letters(rule)


@pytest.mark.parametrize(
    ("rule", "error", "sentence"),
    [
        ("heavy_ball", RuleError, r'take RULES\["heavy_ball"\]'),
        (heavy_ball.at(eta=[1, 2]), RuleError, "takes one number or symbol"),
        (heavy_ball.at(gamma=lambda t: 1 / t), RuleError, "gamma of heavy_ball is a schedule"),
        (Rule(lambda theta, grad, *, eta: (theta - abs(grad(theta)),)), NotLinear, "not linear"),
    ],
    ids=str,
)
def test_what_is_refused(rule, error, sentence):
    with pytest.raises(error, match=sentence):
        identify(rule)
