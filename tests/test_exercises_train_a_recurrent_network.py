"""The checks of notebook 14: right is right, the working default is not, junk gets a hint."""

import numpy as np
import pytest

from momentum_lib import exercises


def largest(form, gamma, lam):
    return 2 * (1 + gamma) / (1 + 2 * gamma * (form == "nesterov")) / lam


@pytest.mark.parametrize(
    "check, right, default",
    [
        (exercises.check_guess, 0.889, 0.92),
        (exercises.check_largest_rate, largest, lambda form, gamma, lam: 2 / lam),
        (
            exercises.check_success_share,
            lambda errors, limit: np.mean(errors < limit),
            lambda errors, limit: np.mean(errors[np.isfinite(errors)] < limit),
        ),
    ],
    ids=["guess", "largest_rate", "success_share"],
)
def test_check(check, right, default):
    assert check(right)
    assert not check(default)
    for junk in (None, "x", [], {}, lambda: 0, float("nan")):
        assert not check(junk)


def test_guess_agrees_with_drawn_products():
    x, y = np.random.default_rng(0).uniform(0, 1, (2, 1_000_000))
    assert exercises.check_guess(float(np.mean(abs(x * y - 0.25) > 0.04)))


@pytest.mark.parametrize(
    "check, wrong, hint",
    [
        (exercises.check_guess, 0.111, "answered rightly"),
        (exercises.check_guess, 0.92, "not uniform"),
        (exercises.check_guess, 0.8464, "the sum of two"),
        (exercises.check_guess, 0.5, "too few"),
        (exercises.check_guess, 0.895, "too many"),
        (
            exercises.check_largest_rate,
            lambda form, g, lam: largest("heavy_ball", g, lam),
            "nesterov at gamma = 0.9",
        ),
        (
            exercises.check_largest_rate,
            lambda form, g, lam: largest("nesterov", g, lam),
            "heavy_ball at gamma = 0.9",
        ),
        (
            exercises.check_largest_rate,
            lambda form, g, lam: largest("nesterov" if form == "heavy_ball" else "heavy_ball", g, lam),
            "other way round",
        ),
        (
            exercises.check_success_share,
            lambda e, limit: np.mean(e[np.isfinite(e)] < limit),
            "is a training too",
        ),
        (
            exercises.check_success_share,
            lambda e, limit: np.mean(e < limit) if np.isfinite(e).any() else 1.0,
            "nothing succeeded",
        ),
    ],
)
def test_a_confusion_gets_its_hint(check, wrong, hint):
    verdict = check(wrong)
    assert not verdict and hint in verdict.text


@pytest.mark.parametrize("rounded", [0.89, 0.889, 0.8888])
def test_a_guess_may_be_rounded(rounded):
    assert exercises.check_guess(rounded)
