"""Checks of notebook 00: right answers, the confusions and their hints, and whatever else is handed in."""

import numpy as np
import pytest

from momentum_lib import Rule, exercises, gradient_descent, heavy_ball, tune

BEST = tune(heavy_ball, 0.01, 1.0).setting


def one_step(look):
    return Rule(lambda theta, grad, *, eta: (theta - eta * grad(look(theta, grad, eta)),), name="mine")


AHEAD = one_step(lambda theta, grad, eta: theta - eta / 2 * grad(theta))
HEUN = Rule(
    lambda theta, grad, *, eta: (theta - eta / 2 * (grad(theta) + grad(theta - eta / 2 * grad(theta))),),
    name="heun",
)


def fails(*_, **__):
    raise ArithmeticError("no")


@pytest.mark.parametrize(
    "check, answer",
    [
        ("check_hand_tuned", (BEST["eta"], BEST["gamma"])),
        ("check_hand_tuned", (3.31, 0.67)),
        ("check_hand_tuned", (3.3058, 0.6694)),
        ("check_hand_tuned", (3.13, 0.6825)),
        ("check_half_ahead", (AHEAD,)),
    ],
)
def test_a_right_answer_is_right_and_so_are_its_roundings(check, answer):
    assert getattr(exercises, check)(*answer)


@pytest.mark.parametrize(
    "check, answer, hint",
    [
        ("check_hand_tuned", (1.0, 0.5), "654 steps; try a larger eta together with a larger gamma"),
        ("check_hand_tuned", (BEST["eta"], 0.82), "148 steps; try a smaller gamma"),
        ("check_hand_tuned", (3.3, 0.9), "a smaller gamma"),
        ("check_hand_tuned", (3.1, 0.5), "below 2(1 + gamma)"),
        ("check_hand_tuned", (2 / 1.01, 0.0), "gamma = 0 is gradient descent"),
        ("check_hand_tuned", (BEST["gamma"], BEST["eta"]), "changed places"),
        ("check_hand_tuned", (1.0, 1.0), "below 1."),
        ("check_half_ahead", (gradient_descent,), "inner gradient"),
        ("check_half_ahead", (one_step(lambda x, grad, eta: x - eta * grad(x)),), "a whole step"),
        ("check_half_ahead", (one_step(lambda x, grad, eta: x + eta / 2 * grad(x)),), "looks back"),
        ("check_half_ahead", (HEUN,), "step itself"),
    ],
)
def test_a_wrong_answer_gets_its_hint(check, answer, hint):
    verdict = getattr(exercises, check)(*answer)
    assert not verdict and hint in repr(verdict)


@pytest.mark.parametrize(
    "junk", [None, "x", np.nan, np.inf, -1, 1j, True, 10**400, [], np.ones((2, 3)), len, fails, heavy_ball]
)
def test_no_check_raises_or_calls_junk_right(junk):
    assert not exercises.check_hand_tuned(junk, 0.5)
    assert not exercises.check_hand_tuned(1.0, junk)
    assert not exercises.check_half_ahead(junk)
