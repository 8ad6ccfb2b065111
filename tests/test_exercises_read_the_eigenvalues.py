"""The checks of notebook 03: the right answer is right, the working default is not, junk never raises."""

import numpy as np
import pytest

from momentum_lib import exercises


def nesterov_worst_case(kappa, t):
    return (1 - kappa**-0.5) ** t * (1 + t * kappa**-0.5)


@pytest.mark.parametrize(
    "check, right, defaults",
    [
        (exercises.check_period, 1.81, [1.0]),
        (exercises.check_guarantee, 95, [69]),
        (exercises.check_nesterov_bound, nesterov_worst_case, [lambda kappa, t: (1 - kappa**-0.5) ** t]),
    ],
)
def test_right_is_right_and_nothing_else_is(check, right, defaults):
    assert check(right)
    for wrong in [*defaults, None, "x", [], float("nan"), np.inf, -1, True, lambda: 1]:
        verdict = check(wrong)
        assert not verdict and verdict.text


def test_hints_tell_what_was_mistaken():
    assert "one more factor" in check_text(exercises.check_guarantee, 69)
    assert "can still be outside" in check_text(exercises.check_guarantee, 94)
    assert "earlier too" in check_text(exercises.check_guarantee, 96)
    assert "monotone" in check_text(exercises.check_period, 0.001)
    assert "period here is 5.69" in check_text(exercises.check_period, 1.0)
    assert "a run exceeds it" in check_text(exercises.check_nesterov_bound, lambda kappa, t: 0.0)
    assert "no run comes that far" in check_text(exercises.check_nesterov_bound, lambda kappa, t: 2.0)


def check_text(check, answer):
    return check(answer).text
