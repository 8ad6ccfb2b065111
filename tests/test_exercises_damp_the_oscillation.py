"""The checks of notebook 06 know a right answer from a near one, and take any."""

import math

import numpy as np
import pytest

from momentum_lib import Rule, exercises, gradient_descent, heavy_ball, nesterov
from momentum_lib.exercises.verdict import Verdict

CHECKS = [exercises.check_overshoot, exercises.check_damper, exercises.check_energy_limit]
JUNK = [None, "x", math.nan, math.inf, -1.0, 10**400, True, [1], np.ones((2, 3)), lambda gamma: None, len]


def looking(share, extra=1.0, keep=1.0):
    @Rule
    def own(theta, v, grad, *, eta, gamma):
        v = keep * gamma * v + extra * eta * grad(theta - share * gamma * v)
        return theta - v, v

    return own


@Rule
def forgetful(theta, v, grad, *, eta, gamma):
    v = gamma * gamma * v + eta * grad(theta)
    return theta - v, v


@Rule
def uphill(theta, v, grad, *, eta, gamma):
    v = gamma * v - eta * grad(theta)
    return theta - v, v


@pytest.mark.parametrize(
    ("check", "right"),
    [
        (exercises.check_overshoot, 0.867),
        (exercises.check_overshoot, np.float64(0.8668)),
        (exercises.check_damper, nesterov),
        (exercises.check_damper, looking(0.8)),
        (exercises.check_energy_limit, lambda gamma: 2 * (1 - gamma)),
        (exercises.check_energy_limit, lambda gamma: round(2 - 2 * gamma, 9)),
    ],
)
def test_a_right_answer_is_right(check, right):
    assert check(right)


@pytest.mark.parametrize(
    ("check", "wrong", "hint"),
    [
        (exercises.check_overshoot, 0.9, "15.3 percent"),
        (exercises.check_overshoot, 0.872, "6.26 percent"),
        (exercises.check_overshoot, 0.861, "3.82 percent"),
        (exercises.check_overshoot, 0.81, "swings begin above gamma = 0.81"),
        (exercises.check_overshoot, 1.0, "lies in"),
        (exercises.check_damper, heavy_ball, "no less than"),
        (exercises.check_damper, looking(0.3), "more than two thirds"),
        (exercises.check_damper, forgetful, "too much friction there"),
        (exercises.check_damper, looking(1, keep=0.97), "too much friction there"),
        (exercises.check_damper, looking(1, extra=0.2), "too much friction there"),
        (exercises.check_damper, uphill, "does not converge"),
        (exercises.check_damper, gradient_descent, "letters eta and gamma"),
        (exercises.check_damper, nesterov.at(gamma=0.9), "letters eta and gamma"),
        (exercises.check_energy_limit, lambda gamma: 2 * (1 + gamma), "limit of stability"),
        (exercises.check_energy_limit, lambda gamma: 2.0, "gradient descent's"),
        (exercises.check_energy_limit, lambda gamma: 1 - gamma, "half of it"),
        (exercises.check_energy_limit, lambda gamma: (1 - gamma**0.5) ** 2, "begins to swing"),
        (exercises.check_energy_limit, lambda gamma: 2 / (1 - gamma), "longer memory"),
        (exercises.check_energy_limit, lambda gamma: 1.9 * (1 - gamma), "may be larger"),
        (exercises.check_energy_limit, lambda gamma: 2.01 * (1 - gamma), "rises from some start"),
        (exercises.check_energy_limit, 0.2, "function of gamma"),
    ],
)
def test_a_wrong_answer_gets_its_hint(check, wrong, hint):
    verdict = check(wrong)
    assert not verdict and hint in verdict.text


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("junk", JUNK, ids=[str(k) for k in range(len(JUNK))])
def test_junk_never_raises(check, junk):
    verdict = check(junk)
    assert isinstance(verdict, Verdict) and not verdict
