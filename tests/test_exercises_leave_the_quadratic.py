"""Checks of notebook 11."""

import numpy as np
import pytest

from momentum_lib import Rule, exercises, gradient_descent, heavy_ball, nesterov, triple_momentum, tune

GROWTH = (2.0 + (2.0**2 - 4 * 0.9) ** 0.5) / 2


@pytest.mark.parametrize("eta", [GROWTH - 1, 0.3162, 0.316])
def test_same_departure(eta: float) -> None:
    assert exercises.check_same_departure(eta)


@pytest.mark.parametrize("eta", [0.1071, 0.107])
def test_way_home(eta: float) -> None:
    assert exercises.check_way_home(eta)


@pytest.mark.parametrize(
    "check, wrong, hint",
    [
        (exercises.check_same_departure, 1.0, "effective"),
        (exercises.check_same_departure, GROWTH, "factor a step"),
        (exercises.check_same_departure, 0.1, "grows by 1.1"),
        (exercises.check_same_departure, 0.32, "grows by 1.32"),
        (exercises.check_same_departure, 0, "above 0"),
        (exercises.check_same_departure, GROWTH**2 - 1, "grows by"),
        (exercises.check_same_departure, -0.3162, "above 0"),
        (exercises.check_same_departure, np.nan, "above 0"),
        (exercises.check_same_departure, "fast", "could not be used"),
        (exercises.check_same_departure, [0.3162, 1.0], "could not be used"),
        (exercises.check_way_home, 1 / 9, "on a cycle"),
        (exercises.check_way_home, 0.108, "on a cycle"),
        (exercises.check_way_home, 0.1, "be bolder"),
        (exercises.check_way_home, 0.113, "at most Polyak's"),
        (exercises.check_way_home, 0, "above 0"),
        (exercises.check_way_home, 1 / 25, "be bolder"),
        (exercises.check_way_home, np.inf, "at most Polyak's"),
        (exercises.check_way_home, None, "could not be used"),
    ],
)
def test_wrong_answers(check, wrong, hint) -> None:
    verdict = check(wrong)
    assert not verdict and hint in verdict.text


@pytest.mark.parametrize(
    "rule",
    [nesterov.at(eta=1 / 25, gamma=2 / 3), tune(triple_momentum, 1, 25), heavy_ball.at(eta=0.05, gamma=0.5)],
)
def test_everyone_home(rule) -> None:
    assert exercises.check_everyone_home(rule)


def raises(theta, v, grad, *, eta):
    raise RuntimeError("not yet written")


@pytest.mark.parametrize(
    "rule, hint",
    [
        (heavy_ball.at(eta=1 / 9, gamma=4 / 9), "a cycle"),
        (heavy_ball.at(eta=0.107, gamma=4 / 9), "a cycle"),
        (heavy_ball.at(eta=1 / 25, gamma=0.9), "too slow"),
        (gradient_descent.at(eta=2 / 26), "too slow"),
        (heavy_ball.at(eta=0.2, gamma=4 / 9), "runs away"),
        (heavy_ball.at(gamma=0.5), "eta"),
        (Rule(raises).at(eta=1.0), "not yet written"),
        ("nesterov", "hand in a rule"),
        (None, "hand in a rule"),
    ],
)
def test_not_everyone_home(rule, hint) -> None:
    verdict = exercises.check_everyone_home(rule)
    assert not verdict and hint in verdict.text
