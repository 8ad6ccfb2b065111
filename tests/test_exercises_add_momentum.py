"""Checks of notebook 02: right answers, the confusions and their hints, and whatever else is handed in."""

from fractions import Fraction

import numpy as np
import pytest

from momentum_lib import exercises


def second_order(m, c, dt):
    return dt**2 / (m + c * dt / 2), (m - c * dt / 2) / (m + c * dt / 2)


def other_letters(m, c, dt):
    return 2 * dt**2 / (2 * m + c * dt), 1 - 2 * c * dt / (2 * m + c * dt)


def fails(*_, **__):
    raise ArithmeticError("no")


@pytest.mark.parametrize(
    "check, answer",
    [
        ("check_by_hand", Fraction(155, 576)),
        ("check_by_hand", Fraction(310, 1152)),
        ("check_same_speed", 0.01),
        ("check_same_speed", 0.1 * (1 - 0.99) / (1 - 0.9)),
        ("check_better_ball", second_order),
        ("check_better_ball", other_letters),
    ],
)
def test_a_right_answer_is_right_and_so_are_its_other_forms(check, answer):
    assert getattr(exercises, check)(answer)


@pytest.mark.parametrize(
    "check, answer, hint",
    [
        ("check_by_hand", Fraction(27, 64), "plain gradient descent"),
        ("check_by_hand", Fraction(3, 4), "an earlier step"),
        ("check_by_hand", Fraction(23, 48), "an earlier step"),
        ("check_by_hand", Fraction(101, 216), "averages"),
        ("check_by_hand", Fraction(5, 16), "where the velocity leads"),
        ("check_by_hand", Fraction(71, 432), "exchanged"),
        ("check_by_hand", Fraction(5, 12), "old velocity"),
        ("check_by_hand", Fraction(1261, 576), "uphill"),
        ("check_by_hand", Fraction(154, 576), "Write v down"),
        ("check_by_hand", 155 / 576, "exact fraction"),
        ("check_same_speed", 0.1, "ends at 10 a step, the other at 1"),
        ("check_same_speed", 1.0, "so eta shrinks"),
        ("check_same_speed", 0.1 * 0.9 / 0.99, "not on gamma"),
        ("check_same_speed", 0.0101, "ends at 1.01 a step"),
        ("check_better_ball", lambda m, c, dt: (dt**2 / (m + c * dt), m / (m + c * dt)), "means 4"),
        ("check_better_ball", lambda m, c, dt: (dt**2 / m, 1 - c * dt / m), "means 4"),
        ("check_better_ball", lambda m, c, dt: second_order(m, c, dt)[::-1], "wrong order"),
        (
            "check_better_ball",
            lambda m, c, dt: (dt**2 / (m + c * dt / 2), m / (m + c * dt / 2)),
            "gamma is not",
        ),
        ("check_better_ball", lambda m, c, dt: (dt**2 / m, second_order(m, c, dt)[1]), "eta is not"),
        ("check_better_ball", lambda m, c, dt: (dt, 0.5), "away from the ball"),
        ("check_better_ball", lambda m, c, dt: (0, 0), "away from the ball"),
        ("check_better_ball", (0.1, 0.9), "hand in a function"),
    ],
)
def test_a_wrong_answer_gets_its_hint(check, answer, hint):
    verdict = getattr(exercises, check)(answer)
    assert not verdict and hint in repr(verdict)


@pytest.mark.parametrize("check", ["check_by_hand", "check_same_speed", "check_better_ball"])
@pytest.mark.parametrize(
    "junk", [None, "x", np.nan, np.inf, 0, -1, 1j, True, 1e300, 10**400, [0.1], np.ones((2, 3)), len, fails]
)
def test_no_check_raises_or_calls_junk_right(check, junk):
    verdict = getattr(exercises, check)(junk)
    assert not verdict and repr(verdict).startswith("Not yet")
