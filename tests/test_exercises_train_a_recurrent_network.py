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


def test_hints_name_what_is_wrong():
    assert "answered rightly" in exercises.check_guess(0.111).text
    assert "not uniform" in exercises.check_guess(0.92).text
    assert "too few" in exercises.check_guess(0.5).text
    heavy_ball_alone = exercises.check_largest_rate(
        lambda form, gamma, lam: largest("heavy_ball", gamma, lam)
    )
    assert "nesterov at gamma = 0.9" in heavy_ball_alone.text
    hidden = exercises.check_success_share(lambda e, limit: np.mean(e[np.isfinite(e)] < limit))
    assert "diverged training is a training" in hidden.text
    no_failure = exercises.check_success_share(
        lambda e, limit: np.mean(e < limit) if np.isfinite(e).any() else 1.0
    )
    assert "nothing succeeded" in no_failure.text
