"""Checks of notebook 10."""

import pytest

from momentum_lib import Rule, exercises, heavy_ball

LIMIT = 1 / (1 / 3.8 + 9 / 0.2)


@pytest.mark.parametrize("eta", [0.0038 / 1.901, 0.002, 0.0019990])
def test_quiet_eta(eta: float) -> None:
    assert exercises.check_quiet_eta(eta)


@pytest.mark.parametrize("limit", [LIMIT, 0.022093, 0.0221])
def test_batch_limit(limit: float) -> None:
    assert exercises.check_batch_limit(limit)


@pytest.mark.parametrize(
    "check, wrong, hint",
    [
        (exercises.check_quiet_eta, 0.1, "less eta"),
        (exercises.check_quiet_eta, 0.00199, "more eta"),
        (exercises.check_quiet_eta, 4.0, "converge"),
        (exercises.check_quiet_eta, 0.0199, "variance"),
        (exercises.check_quiet_eta, 2 * 0.01 / 1.01, "plain SGD"),
        (exercises.check_quiet_eta, 0, "above 0"),
        (exercises.check_quiet_eta, "small", "could not be used"),
        (exercises.check_batch_limit, 3.8, "for the mean"),
        (exercises.check_batch_limit, 10 * LIMIT, "one batch"),
        (exercises.check_batch_limit, 0.2 / 9, "first term"),
        (exercises.check_batch_limit, 0.0222, "first term"),
        (exercises.check_batch_limit, 0.022, "too small"),
        (exercises.check_batch_limit, 0, "too small"),
        (exercises.check_batch_limit, None, "could not be used"),
    ],
)
def test_wrong_answers(check, wrong, hint) -> None:
    verdict = check(wrong)
    assert not verdict and hint in verdict.text


@pytest.mark.parametrize(
    "rule, hint",
    [
        (heavy_ball.at(eta=0.01, gamma=0.81), ""),
        (heavy_ball.at(eta=0.1, gamma=0.0), "that of plain SGD is 0.05263"),
        (heavy_ball.at(eta=0.002, gamma=0.81), "slower"),
        (heavy_ball.at(eta=0.3, gamma=0.5), "faster"),
        (heavy_ball.at(eta=4.0, gamma=0.5), "does not converge"),
        (heavy_ball.at(gamma=0.81), "eta"),
        ("heavy_ball", "could not be used"),
    ],
)
def test_quieter_rule(rule, hint) -> None:
    verdict = exercises.check_quieter_rule(rule)
    assert bool(verdict) is (hint == "") and hint in verdict.text


def test_quieter_rule_takes_an_own_rule() -> None:
    def averaged(theta, v, grad, *, eta, gamma):
        v = gamma * v + (1 - gamma) * grad(theta)
        return theta - eta * v, v

    assert exercises.check_quieter_rule(Rule(averaged).at(eta=0.01 / 0.19, gamma=0.81))
