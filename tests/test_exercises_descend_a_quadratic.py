"""Checks of notebook 01: the right answer is right, a working default is not, junk is answered too."""

import pytest

from momentum_lib import exercises

RIGHT = {"check_slide": 1 / 4, "check_balance": 2 / 8.5}
DEFAULT = {"check_slide": 0.4, "check_balance": 1 / 8}
JUNK = (0, -0.1, 5.0, 1e300, float("nan"), float("inf"), True, 1j, "x", None, [0.1], len)


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
    assert "1 of 3 directions" in repr(exercises.check_slide(0.4))
    assert "eta·L is only 0.8" in repr(exercises.check_slide(0.2))
    assert "the flattest direction is the slowest" in repr(exercises.check_balance(1 / 8))
    assert "the steepest direction is the slowest" in repr(exercises.check_balance(0.249))
    assert "does not converge" in repr(exercises.check_balance(0.26))
