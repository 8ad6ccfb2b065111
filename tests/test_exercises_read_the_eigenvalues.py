"""Checks of notebook 03: right answers, the confusions and their hints, and whatever else is handed in."""

from fractions import Fraction

import numpy as np
import pytest

from momentum_lib import exercises


def nesterov_worst_case(kappa, t):
    return (1 - kappa**-0.5) ** t * (1 + t * kappa**-0.5)


def heavy_ball_worst_case(kappa, t):
    r = (kappa**0.5 - 1) / (kappa**0.5 + 1)
    return r**t * (1 + t * (1 + r))


def fails(*_, **__):
    raise ArithmeticError("no")


@pytest.mark.parametrize(
    "check, answer",
    [
        ("check_period", 1.81),
        ("check_period", 1 + 0.81),
        ("check_period", Fraction(181, 100)),
        ("check_guarantee", 95),
        ("check_guarantee", np.int64(95)),
        ("check_nesterov_bound", nesterov_worst_case),
    ],
)
def test_a_right_answer_is_right_and_so_are_its_other_forms(check, answer):
    assert getattr(exercises, check)(answer)


@pytest.mark.parametrize(
    "check, answer, hint",
    [
        ("check_period", 1.0, "period here is 5.69"),
        ("check_period", 1.8, "period here is 4.01"),
        ("check_period", 1.9, "period here is 3.88"),
        ("check_period", 0.001, "monotone"),
        ("check_period", 3.615, "alternating"),
        ("check_period", 3.7, "unstable"),
        ("check_period", -1.81, "must be positive"),
        ("check_guarantee", 69, "one more factor"),
        ("check_guarantee", 84, "shorter first step"),
        ("check_guarantee", 93, "from (1, 1)"),
        ("check_guarantee", 94, "can still be outside"),
        ("check_guarantee", 96, "earlier too"),
        ("check_guarantee", 95.0, "whole number"),
        ("check_nesterov_bound", lambda kappa, t: (1 - kappa**-0.5) ** t, "a run exceeds it"),
        ("check_nesterov_bound", heavy_ball_worst_case, "heavy ball's"),
        (
            "check_nesterov_bound",
            lambda kappa, t: 1.001 * nesterov_worst_case(kappa, t),
            "no run comes that far",
        ),
        (
            "check_nesterov_bound",
            lambda kappa, t: (1 - kappa**-0.5) ** t * (1 + t / kappa),
            "a run exceeds it",
        ),
        ("check_nesterov_bound", lambda kappa, t: 0.0, "a run exceeds it"),
        ("check_nesterov_bound", 0.5, "hand in a function"),
    ],
)
def test_a_wrong_answer_gets_its_hint(check, answer, hint):
    verdict = getattr(exercises, check)(answer)
    assert not verdict and hint in repr(verdict)


@pytest.mark.parametrize("check", ["check_period", "check_guarantee", "check_nesterov_bound"])
@pytest.mark.parametrize(
    "junk", [None, "x", np.nan, np.inf, 0, -1, 1j, True, 1e300, 10**400, [1.81], np.ones((2, 3)), len, fails]
)
def test_no_check_raises_or_calls_junk_right(check, junk):
    verdict = getattr(exercises, check)(junk)
    assert not verdict and repr(verdict).startswith("Not yet")
