"""Checks of notebook 02: the right answer is right, a working default is not, junk is answered too."""

from fractions import Fraction

import pytest

from momentum_lib import exercises


def first_order(m, c, dt):
    return dt**2 / (m + c * dt), m / (m + c * dt)


def second_order(m, c, dt):
    return dt**2 / (m + c * dt / 2), (m - c * dt / 2) / (m + c * dt / 2)


RIGHT = {
    "check_by_hand": Fraction(155, 576),
    "check_same_speed": 0.01,
    "check_better_ball": second_order,
}
DEFAULT = {
    "check_by_hand": Fraction(27, 64),
    "check_same_speed": 0.1,
    "check_better_ball": first_order,
}
JUNK = (0.0, -0.1, 1e300, float("nan"), float("inf"), True, 1j, "x", None, [0.1], len)


@pytest.mark.parametrize("check", RIGHT)
def test_right_and_wrong(check):
    assert getattr(exercises, check)(RIGHT[check])
    assert not getattr(exercises, check)(DEFAULT[check])


@pytest.mark.parametrize("check", RIGHT)
@pytest.mark.parametrize("junk", JUNK)
def test_junk_gets_a_hint(check, junk):
    verdict = getattr(exercises, check)(junk)
    assert not verdict and repr(verdict).startswith("Not yet")


def test_hints_say_what_is_wrong():
    assert "plain gradient descent" in repr(exercises.check_by_hand(Fraction(27, 64)))
    assert "an earlier step" in repr(exercises.check_by_hand(Fraction(3, 4)))
    assert "averages" in repr(exercises.check_by_hand(Fraction(101, 216)))
    for wrong, hint in {
        (5, 16): "leads",
        (71, 432): "exchanged",
        (5, 12): "old velocity",
        (1261, 576): "uphill",
    }.items():
        assert hint in repr(exercises.check_by_hand(Fraction(*wrong)))
    assert "exact fraction" in repr(exercises.check_by_hand(0.1))
    assert "ends at 10 a step, the other at 1" in repr(exercises.check_same_speed(0.1))
    assert "second order means 4" in repr(exercises.check_better_ball(first_order))
    assert not exercises.check_better_ball(lambda m, c, dt: (0, 0))
    assert "away from the ball" in repr(exercises.check_better_ball(lambda m, c, dt: (dt, 0.5)))
