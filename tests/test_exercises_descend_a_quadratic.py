"""Checks of notebook 01: right answers, the confusions and their hints, and whatever else is handed in."""

import numpy as np
import pytest

from momentum_lib import Rule, exercises, gradient_descent, heavy_ball


@Rule
def in_turn(theta, grad, *, first, second):
    theta = theta - first * grad(theta)
    return (theta - second * grad(theta),)


@Rule
def both_at_once(theta, grad, *, first, second):
    return (theta - first * grad(theta) - second * grad(theta),)


@Rule
def half_ahead(theta, grad, *, eta):
    return (theta - eta * grad(theta - eta / 2 * grad(theta)),)


ZEROS = 0.505 + 0.495 / np.sqrt(2), 0.505 - 0.495 / np.sqrt(2)


def pair(first, second):
    return in_turn.at(first=first, second=second)


def fails(*_, **__):
    raise ArithmeticError("no")


@pytest.mark.parametrize(
    "check, answer",
    [
        ("check_slide", 1 / 4),
        ("check_balance", 2 / 8.5),
        ("check_balance", 0.2353),
        ("check_balance", 0.235),
        ("check_in_turn", pair(1 / ZEROS[0], 1 / ZEROS[1])),
        ("check_in_turn", pair(1 / ZEROS[1], 1 / ZEROS[0])),
        ("check_in_turn", pair(1.17, 6.45)),
    ],
)
def test_a_right_answer_is_right_and_so_are_its_roundings(check, answer):
    assert getattr(exercises, check)(answer)


@pytest.mark.parametrize(
    "check, answer, hint",
    [
        ("check_slide", 0.4, "1 of 3 directions"),
        ("check_slide", 0.2501, "1 of 3 directions"),
        ("check_slide", 1.2, "2 of 3 directions"),
        ("check_slide", 0.249, "eta·L is only 0.996"),
        ("check_slide", 2 / 4, "starts to diverge"),
        ("check_slide", 1 / 0.2, "flattest curvature"),
        ("check_slide", 2 / 4.2, "the steepest flips"),
        ("check_slide", -0.1, "must be positive"),
        ("check_balance", 1 / 8, "the flattest direction is the slowest"),
        ("check_balance", 0.234, "the flattest direction is the slowest"),
        ("check_balance", 0.237, "the steepest direction is the slowest"),
        ("check_balance", 2 / 8, "does not converge"),
        ("check_balance", 2 / 5, "the two in the middle"),
        ("check_in_turn", gradient_descent.at(eta=1.98), "one step only"),
        ("check_in_turn", both_at_once.at(first=1.17, second=6.45), "one step only"),
        ("check_in_turn", pair(2 / 1.01, 2 / 1.01), "one learning rate twice"),
        ("check_in_turn", pair(*ZEROS), "one over them"),
        ("check_in_turn", pair(1.0, 100.0), "still the two ends"),
        ("check_in_turn", pair(1.17, 6.5), "the best pair has 0.9245"),
        ("check_in_turn", pair(1.25, 6.45), "runs away"),
        ("check_in_turn", heavy_ball.at(eta=3.3, gamma=0.67), "has a velocity"),
        ("check_in_turn", half_ahead.at(eta=1.0), "no product of two factors"),
        ("check_in_turn", (1.17, 6.45), "hand in the rule at its setting"),
        ("check_in_turn", in_turn, "could not be used"),
        ("check_in_turn", Rule(fails, slots=("theta",), hyper=("eta",)).at(eta=1.0), "could not be used"),
    ],
)
def test_a_wrong_answer_gets_its_hint(check, answer, hint):
    verdict = getattr(exercises, check)(answer)
    assert not verdict and hint in repr(verdict)


@pytest.mark.parametrize("check", ["check_slide", "check_balance", "check_in_turn"])
@pytest.mark.parametrize(
    "junk", [None, "x", np.nan, np.inf, 0, -1, 1j, True, 1e300, 10**400, [0.25], np.ones((2, 3)), len, fails]
)
def test_no_check_raises_or_calls_junk_right(check, junk):
    verdict = getattr(exercises, check)(junk)
    assert not verdict and repr(verdict).startswith("Not yet")
